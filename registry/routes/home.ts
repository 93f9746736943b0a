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
  return `btfhub ${hubVersion}: kernel BTF by release. ${kernels} kernels, ${tools} tools.

For this host, verified, printing the path of the file:
  curl -fsSL ${url}/get.sh | sh
  curl -fsSL ${url}/get.sh | sh -s -- --tool TOOL

By hand:
  ${url}/v1/btf/RELEASE?arch=ARCH&distro=ID&version=VERSION_ID
  ${url}/v1/min/TOOL/RELEASE?arch=ARCH&distro=ID&version=VERSION_ID
  ${url}/ID/VERSION_ID/ARCH/RELEASE.btf.tar.xz   (also .btf, .btf.gz, .btf.xz, .elf; each with .sha256)
  ${url}/buildid/BUILDID/section/.BTF

What there is:
  ${url}/v1/kernels?distro=ID&q=PART
  ${url}/v1/tools
  ${url}/openapi.json
`
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
        <title>btfhub</title>
        <style>
          body {
            margin: 2rem auto;
            max-width: 60rem;
            padding: 0 1rem;
          }
          pre {
            overflow-x: auto;
          }
        </style>
        <h1>btfhub</h1>
        <pre>${text}</pre>
      </html>`,
  )
}
