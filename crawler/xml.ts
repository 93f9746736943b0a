import { SaxesParser, type SaxesTagPlain } from 'saxes'
import { describeError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { CrawlError } from './types.ts'

/** What is told of a document while it is read. */
export interface XmlHandler {
  open(name: string, attributes: Readonly<Record<string, string>>): void
  close(name: string): void
  text(text: string): void
}

/**
 * Reads an XML document as it comes, keeping nothing. Throws `MALFORMED` with line and column where it is no well-formed
 * UTF-8 XML, has a document type (a web page has; its entities could grow without end), or has no end.
 */
export async function readXml(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
  handler: XmlHandler,
): Promise<void> {
  const parser = new SaxesParser<{ xmlns: false }>()
  let eventAt = 0
  const mark = (): void => {
    eventAt = parser.position
  }
  const malformed = (what: string): CrawlError =>
    new CrawlError('MALFORMED', `${name}: line ${parser.line}, column ${parser.column}: ${what}`)
  parser.on('error', (err) => {
    throw malformed(err.message.replace(/^\d+:\d+: /, ''))
  })
  parser.on('doctype', () => {
    throw malformed('expected XML metadata, got a document type')
  })
  parser.on('opentag', (tag: SaxesTagPlain) => {
    mark()
    handler.open(tag.name, tag.attributes)
  })
  parser.on('closetag', (tag: SaxesTagPlain) => {
    mark()
    handler.close(tag.name)
  })
  parser.on('text', (text) => handler.text(text))
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const write = (text: string): void => {
    parser.write(text)
    if (parser.position - eventAt > limits.index.maxXmlTextBytes) {
      throw malformed(`expected a tag within ${limits.index.maxXmlTextBytes} characters`)
    }
  }
  for await (const chunk of chunks) write(decode(name, () => decoder.decode(chunk, { stream: true })))
  write(decode(name, () => decoder.decode()))
  parser.close()
}

function decode(name: string, read: () => string): string {
  try {
    return read()
  } catch (err) {
    throw new CrawlError('MALFORMED', `${name}: expected UTF-8: ${describeError(err)}`, { cause: err })
  }
}

/** The same of a document that is all there. */
export function readXmlBytes(name: string, bytes: Uint8Array, handler: XmlHandler): Promise<void> {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  return readXml(name, once(), handler)
}
