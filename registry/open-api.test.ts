import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLog } from '../core/log.ts'
import { packageRoot } from '../core/version.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { ProblemCode } from './api.ts'
import { createApp } from './app.ts'
import { createHub } from './hub.ts'

interface Operation {
  readonly summary?: string
  readonly responses: Readonly<Record<string, unknown>>
}

describe('/openapi.json', () => {
  let store: TestStore
  let app: ReturnType<typeof createApp>
  let paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  let text: string

  beforeAll(async () => {
    store = await openTestStore()
    app = createApp(createHub({ ...store, log: silentLog }))
    text = await (await app.request('/openapi.json')).text()
    ;({ paths } = JSON.parse(text) as { paths: typeof paths })
  })

  afterAll(() => store.cleanUp())

  const described = (): string[] =>
    Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    )

  it('is what the OpenAPI schema allows', async () => {
    const result = await new Validator().validate(JSON.parse(text) as Record<string, unknown>)
    expect(result.errors ?? []).toEqual([])
    expect(result.valid).toBe(true)
  })

  it('describes every route that there is, and no other', () => {
    const registered = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)(?:\{.*\})?/g, '{$1}')}`)
    expect(described().sort()).toEqual([...new Set(registered)].sort())
  })

  it('says of each what it is for and what it gives', () => {
    for (const methods of Object.values(paths)) {
      for (const { summary = '', responses } of Object.values(methods)) {
        expect(summary.length).toBeGreaterThan(3)
        expect(Object.keys(responses)).toEqual(expect.arrayContaining(['4XX', '5XX']))
      }
    }
  })

  it('describes only routes that answer', async () => {
    for (const operation of described()) {
      const [method = '', template = ''] = operation.split(' ')
      const path = template.replace('{file}', 'vmlinux-a.btf').replace(/\{(\w+)\}/g, 'a')
      const answer = await app.request(path, { method: method.toUpperCase() })
      const body = await answer.text()
      expect([operation, body]).not.toEqual([
        operation,
        expect.stringMatching(/"code": "(?:NO_ROUTE|METHOD_NOT_ALLOWED|INTERNAL)"/),
      ])
    }
  })
})

it('docs/http.md tells of every error code, and of no other', () => {
  const docs = readFileSync(join(packageRoot, 'docs/http.md'), 'utf8')
  const [, table = ''] = /## Errors\n([\s\S]*?)\n## /.exec(`${docs}\n## `) ?? []
  const told = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code),
  )
  expect(told.sort()).toEqual([...ProblemCode.options].sort())
})
