"""Idle connections: opened, used once, and then left alone."""

import resource
import socket
import ssl

REQUEST = (
    b"POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: atelier-bench/1\r\ncontent-type: application/json\r\n"
    b'authorization: %b\r\ncontent-length: 28\r\n\r\n{"data":[[5.1,3.5,1.4,0.2]]}'
)
END = b"]]}\n"


def allow_many_files():
    """Children inherit it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def connect(port, count, tls=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connections = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
        connections.append(context.wrap_socket(one) if tls else one)
    return connections


def use(connections, credential):
    """One request on each connection, whose answer has to be good."""
    for connection in connections:
        connection.sendall(REQUEST % credential.encode())
        answer = b""
        while not answer.rstrip(b"0\r\n").endswith(END.rstrip()):
            more = connection.recv(4096)
            if not more:
                raise SystemExit(f"a connection was closed after {answer}")
            answer += more
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not a good answer: {answer}")
