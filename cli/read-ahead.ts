/**
 * Reads items in order, the next ones already while the caller works on one: unpacking is other processes' work. At
 * most `ahead` results wait. Where a read fails, that item throws when its turn comes, and no further read begins.
 */
export async function* readAhead<T, R>(
  items: readonly T[],
  ahead: number,
  read: (item: T) => Promise<R>,
): AsyncGenerator<{ readonly item: T; readonly result: R }> {
  const underWay: { item: T; result: Promise<R> }[] = []
  let next = 0
  const start = (): void => {
    const item = items[next++] as T
    const result = read(item)
    // It is awaited later, or never where an earlier one fails.
    result.catch(() => {})
    underWay.push({ item, result })
  }
  while (next < items.length || underWay.length > 0) {
    while (next < items.length && underWay.length <= ahead) start()
    const first = underWay.shift()
    if (first !== undefined) yield { item: first.item, result: await first.result }
  }
}
