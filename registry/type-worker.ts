/** The thread of a {@link TypeThread}. */
import { parentPort } from 'node:worker_threads'
import { BtfError, formatHeader, formatType, loadBtf } from '../btf/index.ts'
import { sha256Of } from '../core/digest.ts'
import type { TypeAnswer, TypeTask } from './type-thread.ts'

parentPort?.on('message', (task: TypeTask) => {
  parentPort?.postMessage(answer(task))
})

function answer({ digest, bytes, name }: TypeTask): TypeAnswer {
  const got = sha256Of(bytes)
  if (got !== digest) return { corrupt: got }
  try {
    const btf = loadBtf(bytes)
    return { text: name === null ? `${[...formatHeader(btf)].join('\n')}\n` : formatType(btf, name) }
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    return { unfit: err.message }
  }
}
