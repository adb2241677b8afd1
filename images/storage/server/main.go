// Command storage is VersityGW, an S3 server on a folder, set up for one bucket of one workspace.
// Stock VersityGW takes its root key from the environment, keeps other keys in plain text beside
// the objects, and reloads certificates on a signal that nobody sends in a pod. Here all three are
// files that Kubernetes mounts, and are read again when they change.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/versity/versitygw/embedgw"
)

// Set by the linker.
var version = "unknown"

const (
	// Of one transfer. A whole chunk of the workspace's objects fits.
	bufferBytes = 256 << 10
	// At a time; more wait. Bounds what all transfers together may take.
	transfers = 64
	// Idle, the server needs about a quarter of it.
	memoryBytes = 128 << 20
)

type options struct {
	listen, data, bucket, region, keys, certificate, key string
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", ":9000", "address to serve S3 on, over TLS only; GET /healthz answers without a key")
	flag.StringVar(&o.data, "data", "/data", "folder of the objects: a volume")
	flag.StringVar(&o.bucket, "bucket", "workspace", "the bucket, made if it is missing")
	flag.StringVar(&o.region, "region", "us-east-1", "region that clients sign for")
	flag.StringVar(&o.keys, "keys", "/etc/storage/keys", "folder of access keys: a file's name is the id, its content the secret")
	flag.StringVar(&o.certificate, "tls-cert", "/etc/storage/tls/tls.crt", "certificate chain, PEM")
	flag.StringVar(&o.key, "tls-key", "/etc/storage/tls/tls.key", "key of the certificate, PEM")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "storage: unexpected argument %q; see -help\n", flag.Arg(0))
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "storage: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func serve(ctx context.Context, o options) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryBytes)
	}
	// The server changes into the folder of the objects.
	for _, path := range []*string{&o.data, &o.keys, &o.certificate, &o.key} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}

	backend, err := openFolder(o.data)
	if err != nil {
		return err
	}
	keys := keyFolder(o.keys)
	if err := makeBucket(ctx, backend, o.bucket); err != nil {
		return err
	}
	names, err := keys.names()
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := allow(ctx, backend, o.bucket, names); err != nil {
		return err
	}

	// Root may do everything, so nobody is: its key is made here and told to no one.
	root, err := random()
	if err != nil {
		return err
	}
	secret, err := random()
	if err != nil {
		return err
	}
	reload := make(chan struct{}, 1)
	go follow(ctx, o, keys, backend, reload)
	fmt.Printf("storage: VersityGW %s serves bucket %s on %s with %d access keys\n", version, o.bucket, o.listen, len(names))
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    root,
		RootUserSecret:    secret,
		Region:            o.region,
		Ports:             []string{o.listen},
		MaxConnections:    1024,
		MaxRequests:       512,
		MultipartMaxParts: 10000,
		CertFile:          o.certificate,
		KeyFile:           o.key,
		KeepAlive:         true,
		DisableACLs:       true,
		HealthPath:        "/healthz",
		// A line per request would name every object.
		Quiet:      true,
		IAMService: keys,
		SigHup:     reload,
	})
}

func random() (string, error) {
	bytes := make([]byte, 32)
	if _, err := rand.Read(bytes); err != nil {
		return "", err
	}
	return hex.EncodeToString(bytes), nil
}
