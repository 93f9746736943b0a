import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { LAUNCHPAD_ORIGIN } from './launchpad.ts'

/** A web server of the field, serving a folder with its own listings. */
export interface FileServer {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  close(): Promise<void>
}

// Both live in sbin, which a user's PATH may lack.
const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }

/** The web servers that mirrors run; null where all are there, else the first that is missing. */
export function missingServer(): string | null {
  return ['nginx', 'apache2'].find((program) => spawnSync(program, ['-v'], { env }).status !== 0) ?? null
}

/** What an nginx that speaks TLS shows, and whose certificates it wants to be shown: paths of PEM files. */
export interface NginxTls {
  readonly cert: string
  readonly key: string
  readonly clientCa: string
}

/** nginx with `autoindex`, and what Launchpad says as answers of its own; with `tls` by https, and for whom it knows. */
export async function startNginx(root: string, work: string, tls?: NginxTls): Promise<FileServer> {
  const secrets =
    tls === undefined
      ? ''
      : `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};
         ssl_client_certificate ${tls.clientCa}; ssl_verify_client on;`
  const server = await runNginx(
    work,
    (address) => `default_type application/octet-stream;
       server { listen ${address}${tls === undefined ? '' : ' ssl'}; root ${root}; autoindex on; ${secrets}
         location /launchpad/ {
           sub_filter ${LAUNCHPAD_ORIGIN} http://$http_host; sub_filter_once off; sub_filter_types *;
         } }`,
  )
  // A port that speaks TLS answers plain HTTP too, that it does.
  return tls === undefined
    ? server
    : { ...server, url: server.url.replace('http://127.0.0.1', 'https://localhost') }
}

/** nginx as Debian sets it up, with one site: a `server { … }` block that leaves it open where to listen. */
export function startNginxSite(site: string, work: string): Promise<FileServer> {
  return runNginx(
    work,
    (address) => `sendfile on; tcp_nopush on; gzip on; include /etc/nginx/mime.types;
       default_type application/octet-stream; ${site.replace('server {', `server { listen ${address};`)}`,
  )
}

async function runNginx(work: string, http: (address: string) => string): Promise<FileServer> {
  const dir = workFolder(work, 'nginx-')
  const port = await freePort()
  const config = join(dir, 'nginx.conf')
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n};`)
  writeFileSync(
    config,
    `daemon off; pid ${dir}/pid; error_log ${dir}/error.log; events {}
     http { access_log off; ${temps.join(' ')} ${http(`127.0.0.1:${port}`)} }`,
  )
  return start('nginx', ['-p', dir, '-c', config, '-e', `${dir}/error.log`], port)
}

/** Apache with `mod_autoindex`, as a table with icons as CentOS's debuginfo host has it, or as a plain list. */
export async function startApache(root: string, work: string, style: 'table' | 'list'): Promise<FileServer> {
  const dir = workFolder(work, 'apache-')
  const port = await freePort()
  const config = join(dir, 'apache.conf')
  const modules = ['mpm_event', 'authz_core', 'dir', 'autoindex', 'mime']
  const options = style === 'table' ? 'FancyIndexing HTMLTable NameWidth=*' : 'FancyIndexing NameWidth=20'
  mkdirSync(join(dir, 'run'))
  writeFileSync(
    config,
    [
      `ServerRoot ${dir}`,
      `DefaultRuntimeDir ${dir}/run`,
      `PidFile ${dir}/pid`,
      `Listen 127.0.0.1:${port}`,
      'ServerName localhost',
      `ErrorLog ${dir}/error.log`,
      'User www-data',
      'Group www-data',
      ...modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
      'TypesConfig /etc/mime.types',
      `DocumentRoot ${root}`,
      `<Directory ${root}>`,
      'Require all granted',
      'Options Indexes',
      `IndexOptions ${options}`,
      '</Directory>',
    ].join('\n'),
  )
  return start('apache2', ['-X', '-f', config], port)
}

/** Started by root, both serve as somebody else, who has to get to the files. */
function workFolder(work: string, prefix: string): string {
  chmodSync(work, 0o755)
  return mkdtempSync(join(work, prefix))
}

async function start(program: string, args: readonly string[], port: number): Promise<FileServer> {
  const child = spawn(program, args, { env, stdio: 'pipe' })
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; ; tries++) {
    const answer = await fetch(url).catch(() => null)
    await answer?.arrayBuffer()
    if (answer !== null) break
    if (tries > 100 || child.exitCode !== null) throw new Error(`${program} does not answer: ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    url,
    close: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
