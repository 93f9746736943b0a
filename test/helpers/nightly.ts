/** True in `make nightly`: tests that take minutes run too, and those that repeat something do so more often. */
export const nightly = process.env['BTFHUB_NIGHTLY'] === '1'
