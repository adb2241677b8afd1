// Creates a container: create-container.mjs ENDPOINT ACCOUNT KEY CONTAINER CA_FILE. The client that is tried cannot.
// Shared key: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
import {createHmac} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {request} from 'node:https';

const [endpoint, account, key, container, ca] = process.argv.slice(2);
const url = new URL(`${endpoint}/${container}?restype=container`);
const headers = {'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-12-02'};
const named = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
const toSign = ['PUT', ...Array(11).fill(''), ...named, `/${account}${url.pathname}`, 'restype:container'].join('\n');
const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(toSign).digest('base64');
headers.authorization = `SharedKey ${account}:${signature}`;
headers['content-length'] = 0;
request(url, {method: 'PUT', headers, ca: readFileSync(ca)}, (answer) => {
  answer.resume();
  if (answer.statusCode !== 201) throw new Error(`the container was not created: ${answer.statusCode}`);
}).end();
