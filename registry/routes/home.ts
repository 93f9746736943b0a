import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { hubVersion } from '../../core/version.ts'
import type { Hub } from '../hub.ts'
import { publicUrlOf } from '../public-url.ts'
import type { Env } from '../sender.ts'

/** `/`: what this is and how to ask, as text for a shell and as a page for a browser. */
export function homeRoutes(hub: Hub): Hono<Env> {
  return new Hono<Env>().get('/', async (c) => {
    const { kernels, tools } = await hub.snapshots.get()
    const text = usage(publicUrlOf(c, hub.publicUrl), kernels.entries.length, tools.names.size)
    c.header('Vary', 'Accept')
    c.header('Cache-Control', 'no-store')
    return wantsHtml(c) ? page(c, text) : c.text(text)
  })
}

function usage(url: string, kernels: number, tools: number): string {
  return `btfhub ${hubVersion}: kernel BTF by release. ${counted(kernels, 'kernel')}, ${counted(tools, 'tool')}.

For this host, verified, printing the path of the file:
  curl -fsSL ${url}/get.sh | sh
  curl -fsSL ${url}/get.sh | sh -s -- --tool TOOL

By hand:
  ${url}/v1/btf/RELEASE?arch=ARCH&distro=ID&version=VERSION_ID
  ${url}/v1/min/TOOL/RELEASE?arch=ARCH&distro=ID&version=VERSION_ID
  ${url}/v1/kernels/ID/VERSION_ID/ARCH/RELEASE/vmlinux.h
  ${url}/buildid/BUILDID/section/.BTF
  ${url}/ID/VERSION_ID/ARCH/RELEASE.btf.tar.xz
  (also .btf, .btf.gz, .btf.xz, .elf; each with .sha256)

What there is:
  ${url}/v1/kernels
  ${url}/v1/tools
  ${url}/v1/coverage
  ${url}/v1/types/task_struct
  ${url}/openapi.json
`
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function wantsHtml(c: Context<Env>): boolean {
  return /\btext\/html\b/.test(c.req.header('accept') ?? '')
}

function page(c: Context<Env>, text: string): Response | Promise<Response> {
  c.header('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'")
  return c.html(
    html`<!doctype html>
      <html lang="en">
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>btfhub</title>
        <style>
          :root {
            color-scheme: light dark;
          }
          body {
            margin: 2rem auto;
            max-width: 60rem;
            padding: 0 1rem;
          }
          pre {
            white-space: pre-wrap;
            overflow-wrap: anywhere;
          }
        </style>
        <h1>btfhub</h1>
        <pre>${text.split('\n').map(line)}</pre>
      </html>`,
  )
}

/** A line of the text; one that is a URL to go to, as a link. */
function line(text: string): ReturnType<typeof html> | string {
  const [, url] = /^ {2}(https?:\/\/\S+)$/.exec(text) ?? []
  if (url === undefined || /[A-Z]{2}/.test(url)) return `${text}\n`
  return html`${'  '}<a href="${url}">${url}</a>${'\n'}`
}
