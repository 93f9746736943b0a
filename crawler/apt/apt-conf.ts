/** False where an apt.conf(5) text turns `Acquire::Check-Valid-Until` off. */
export function checksValidUntil(text: string): boolean {
  const name = 'acquire::check-valid-until'
  const scopes: string[] = []
  let checks = true
  let pending: string[] = []
  const withoutComments = text.replace(
    /("[^"\n]*")|\/\*[^]*?\*\/|(?:\/\/|#).*/g,
    (_all, quoted?: string) => quoted ?? '',
  )
  for (const [token] of withoutComments.matchAll(/"[^"\n]*"|[{};]|[^\s{};"]+/g)) {
    if (token === '{') {
      scopes.push(pending.join('::'))
      pending = []
    } else if (token === '}') {
      scopes.pop()
      pending = []
    } else if (token === ';') {
      const [key = '', value = ''] = pending
      const path = [...scopes, key]
        .filter((part) => part !== '')
        .join('::')
        .toLowerCase()
      if (path === name) checks = !isNo(value.replaceAll('"', ''))
      pending = []
    } else {
      pending.push(token)
    }
  }
  return checks
}

/** apt's way to say no, StringToBool in apt-pkg/contrib/strutl.cc. */
export function isNo(text: string | undefined): boolean {
  return text !== undefined && /^(?:no|false|without|off|disable|0)$/i.test(text.trim())
}
