import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import { TempSpace } from './temp-space.ts'

const signal = new AbortController().signal

/** A little less than half of what the disk has free, so that two have room and three have not. */
async function nearlyHalf(): Promise<number> {
  const { bavail, bsize } = await statfs(tmpdir())
  return Math.floor(bavail * bsize * 0.45)
}

describe('TempSpace', () => {
  it('refuses at once what the disk has no room for, and says how much is missing', async () => {
    const space = new TempSpace(tmpdir())
    await expect(space.reserve(2 ** 52, signal)).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: expect.stringMatching(/has \d+ bytes free, 4503599627370496 are needed/) as string,
    })
  })

  it('lets the third of three jobs wait until one is done', async () => {
    const space = new TempSpace(tmpdir())
    const bytes = await nearlyHalf()
    const first = await space.reserve(bytes, signal)
    await space.reserve(bytes, signal)
    let isThere = false
    const third = space.reserve(bytes, signal).then((reservation) => {
      isThere = true
      return reservation
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(isThere).toBe(false)
    first.release()
    await third
    expect(isThere).toBe(true)
  })

  it('gives back once only what was not written', async () => {
    const space = new TempSpace(tmpdir())
    const bytes = await nearlyHalf()
    const [first, second] = [await space.reserve(bytes, signal), await space.reserve(bytes, signal)]
    // Written bytes are the disk's to count: here they are not on it, so they are free again.
    first.wrote(bytes)
    const third = await space.reserve(bytes, signal)
    first.release()
    first.release()
    const abort = new AbortController()
    const fourth = space.reserve(bytes, abort.signal)
    setTimeout(() => abort.abort(new Error('enough')), 20)
    await expect(fourth).rejects.toThrow('enough')
    second.release()
    third.release()
  })
})
