import { describe, expect, it } from 'vitest'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { confined, filterThrough, type Program, start } from './child.ts'
import { chunks, gather } from './run.fixture.ts'

const CAT: Program = { name: 'cat', packages: 'coreutils' }
const SH: Program = { name: 'sh', packages: 'dash' }
const never = new AbortController().signal

const through = (
  script: string,
  source: AsyncIterable<Uint8Array>,
  signal = never,
): AsyncGenerator<Uint8Array> => filterThrough(SH, ['-c', script], source, 'sample', signal)

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve))
    yield Buffer.alloc(65536)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('filterThrough', () => {
  it('gives what the program makes of the source, whole, whatever the chunks are', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251))
    for (const size of [997, 65536, bytes.byteLength]) {
      const out = await gather(filterThrough(CAT, [], chunks(bytes, size), 'sample', never))
      expect(out.equals(bytes)).toBe(true)
    }
  })

  it('says what to install where the program is missing', async () => {
    const missing: Program = { name: 'no-such-program-here', packages: 'nothing-at-all' }
    await expect(gather(filterThrough(missing, [], endless(), 'sample', never))).rejects.toMatchObject({
      code: 'TOOL',
      message: 'no-such-program-here could not be started: install nothing-at-all',
    })
  })

  it('has the last words of a program that fails, and bounds what it keeps of them', async () => {
    await expect(gather(through('echo broken >&2; exit 3', chunks(Buffer.alloc(0))))).rejects.toMatchObject({
      code: 'MALFORMED',
      message: 'sample: sh refused it (exit code 3): broken',
    })
    const chatty = gather(
      through('yes words | head -c 1000000 >&2; echo end >&2; exit 1', chunks(Buffer.alloc(0))),
    )
    const err = (await chatty.catch((e: unknown) => e)) as Error
    expect(err.message.length).toBeLessThan(140_000)
    expect(err.message).toMatch(/end$/)
  })

  it('calls a program that somebody killed a failure of the tool, not of its input', async () => {
    await expect(gather(through('kill -9 $$', chunks(Buffer.alloc(0))))).rejects.toMatchObject({
      code: 'TOOL',
    })
  })

  it('throws what the source threw, not what the program says about the missing bytes', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10)
      await Promise.resolve()
      throw new Error('the mirror went away')
    }
    await expect(gather(through('cat; echo truncated >&2; exit 1', broken()))).rejects.toThrow(
      'the mirror went away',
    )
  })

  it('does not mind a program that has enough before its input ends', async () => {
    expect((await gather(through('head -c 100000', endless()))).byteLength).toBe(100_000)
  })

  it('kills the program when the loop is left, and lets go of the source', async () => {
    let pid = 0
    let released = false
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        yield* endless()
      } finally {
        released = true
      }
    }
    for await (const chunk of through('echo $$; cat', source())) {
      pid = Number(Buffer.from(chunk).toString('latin1').split('\n')[0])
      break
    }
    expect(pid).toBeGreaterThan(1)
    expect(isAlive(pid)).toBe(false)
    expect(released).toBe(true)
  })

  it('kills the program when the signal comes, even where its own child holds the pipes, and throws its reason', async () => {
    const abort = new AbortController()
    let pid = 0
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x')
      await new Promise((_, reject) =>
        abort.signal.addEventListener('abort', () => reject(abort.signal.reason as Error)),
      )
    }
    const running = (async () => {
      for await (const chunk of through('echo $$; sleep 3', silent(), abort.signal)) {
        pid = Number(Buffer.from(chunk).toString('latin1'))
        setTimeout(() => abort.abort(new Error('enough')), 20)
      }
    })()
    await expect(running).rejects.toThrow('enough')
    expect(pid).toBeGreaterThan(1)
    expect(isAlive(pid)).toBe(false)
  })

  it('starts nothing for a signal that came before', () => {
    expect(() => start(CAT, [], 'ignore', AbortSignal.abort(new Error('enough')))).toThrow('enough')
  })
})

describe('confined', () => {
  const sleep: Program = { name: 'sleep', packages: 'coreutils' }

  it('is the program itself, with the limit', async () => {
    const { program, args } = confined(SH, ['-c', 'ulimit -v; echo "$1"', 'sh', 'two words'], 1 << 30)
    const child = start(program, args, 'ignore', never)
    const out = await gather(child.process.stdout as AsyncIterable<Buffer>)
    expect(out.toString()).toBe('1048576\ntwo words\n')
    expect(await child.exit).toMatchObject({ code: 0 })
  })

  it('does not outlive the process that started it, however that ends', async () => {
    const { program, args } = confined(sleep, ['1000'], 1 << 30)
    const script = `
      const { spawn } = require('node:child_process')
      const child = spawn(${JSON.stringify(program.name)}, ${JSON.stringify(args)}, { stdio: 'ignore' })
      child.on('spawn', () => console.log(child.pid))
      setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    const name = async (): Promise<string> =>
      (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'gone')).trim()
    await until(async () => (await name()) === 'sleep')
    parent.kill('SIGKILL')
    await until(async () => (await name()) === 'gone')
  })
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
}
