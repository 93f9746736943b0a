/**
 * Text for a terminal of which others wrote parts: without the control characters (C0 but the tab and `keep`, DEL, C1)
 * that would move, colour or set it.
 */
export function printable(text: string, keep: 'lines' | 'nothing' = 'nothing'): string {
  const pattern =
    keep === 'lines'
      ? /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]+/g
      : /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]+/g
  return text.replace(pattern, ' ')
}
