import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type LogEvent,
} from 'kysely'

/** Where Debian and its relatives put the server's programs; null without them or without the right to use them. */
const programs: string | null = findPrograms()
export const hasPostgres: boolean = programs !== null

/** What `work` would run, as PostgreSQL's SQL. */
export async function postgresSql(work: (db: Kysely<unknown>) => Promise<void>): Promise<readonly string[]> {
  const statements: string[] = []
  const db = new Kysely<unknown>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (of) => new PostgresIntrospector(of),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
    log: (event: LogEvent) => void statements.push(event.query.sql),
  })
  await work(db)
  await db.destroy()
  return statements
}

/** Runs statements in a new database of a server that lives for this call; gives the first column of the last one. */
export async function runOnPostgres(statements: readonly string[]): Promise<readonly string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-postgres-'))
  const as = (command: string, args: readonly string[], input = ''): string =>
    execFileSync('runuser', ['-u', 'postgres', '--', command, ...args], { input, encoding: 'utf8', cwd: '/' })
  const program = (name: string): string => join(programs ?? '', name)
  const data = join(dir, 'data')
  execFileSync('chown', ['postgres', dir])
  try {
    as(program('initdb'), ['--pgdata', data, '--auth=trust', '--no-sync', '--no-instructions'])
    const options = `-c listen_addresses= -c unix_socket_directories=${dir} -c fsync=off`
    as(program('pg_ctl'), ['start', '--wait', '--silent', '-D', data, '-l', join(dir, 'log'), '-o', options])
    const script = statements.map((statement) => `${statement};\n`).join('')
    const psql = [
      '--host',
      dir,
      '--quiet',
      '--tuples-only',
      '--no-align',
      '--no-psqlrc',
      '--set=ON_ERROR_STOP=1',
    ]
    return as('psql', psql, script).trim().split('\n')
  } finally {
    if (existsSync(join(data, 'postmaster.pid'))) {
      as(program('pg_ctl'), ['stop', '--silent', '-D', data, '-m', 'immediate'])
    }
    rmSync(dir, { recursive: true, force: true })
  }
}

function findPrograms(): string | null {
  const root = '/usr/lib/postgresql'
  if (process.getuid?.() !== 0 || !existsSync(root)) return null
  const found = readdirSync(root).map((version) => join(root, version, 'bin'))
  return found.find((dir) => existsSync(join(dir, 'initdb'))) ?? null
}
