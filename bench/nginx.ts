import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Nginx {
  readonly url: string
  stop(): Promise<void>
}

/**
 * Serves a folder on a free port of loopback, with the directives for files that Debian's nginx.conf has, and no access
 * log. `openFileCache` also keeps files open between requests, which few set up.
 */
export async function startNginx(
  root: string,
  stateDir: string,
  options: { readonly openFileCache?: boolean; readonly workers?: number } = {},
): Promise<Nginx> {
  await mkdir(stateDir, { recursive: true })
  const port = await freePort()
  const config = join(stateDir, 'nginx.conf')
  await writeFile(
    config,
    `daemon off; worker_processes ${options.workers ?? 1}; pid ${stateDir}/pid; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;${options.openFileCache === true ? ' open_file_cache max=1000;' : ''}
  client_body_temp_path ${stateDir}/b; proxy_temp_path ${stateDir}/p; fastcgi_temp_path ${stateDir}/f;
  uwsgi_temp_path ${stateDir}/u; scgi_temp_path ${stateDir}/s;
  server { listen 127.0.0.1:${port}; root ${root}; default_type application/octet-stream; }
}
user root;
`,
  )
  const child = spawn('nginx', ['-c', config, '-e', 'stderr'], {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
  })
  const ended = once(child, 'close')
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; tries < 50; tries++) {
    if (
      await fetch(url).then(
        () => true,
        () => false,
      )
    )
      break
    await sleep(100)
  }
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
