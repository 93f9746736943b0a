import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'

/** A server of plain files that knows nothing of hubs: it looks at no query and takes no POST. */
export async function serveFiles(root: string): Promise<{ readonly url: string; close(): void }> {
  const server: Server = createServer((incoming, outgoing) => {
    const { pathname } = new URL(incoming.url ?? '/', 'http://h')
    const path = join(root, normalize(decodeURIComponent(pathname)))
    stat(path).then(
      (stats) => {
        if (incoming.method !== 'GET') outgoing.writeHead(405).end('<html>405</html>')
        else if (!stats.isFile()) outgoing.writeHead(403).end()
        else createReadStream(path).pipe(outgoing.writeHead(200, { 'content-length': stats.size }))
      },
      () => outgoing.writeHead(404, { 'content-type': 'text/html' }).end('<html>404</html>'),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
