import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Puts a `curl` into a folder that is as old as CentOS 7's (7.29.0: facts from curl's docs/options-in-versions): it
 * refuses options that came later, and speaks HTTP/1.1 and gzip only. Real curl does the work.
 */
export async function putEl7Curl(bin: string): Promise<string> {
  const path = join(bin, 'curl')
  await writeFile(path, EL7_CURL)
  await chmod(path, 0o755)
  return path
}

const EL7_CURL = `#!/bin/sh
for word in "$@"; do
  if [ -n "$value" ]; then value=; continue; fi
  case $word in
    --compressed | --create-dirs | --fail | --silent | --show-error | --location | --get | --head) ;;
    --max-time | --connect-timeout | --retry | --retry-delay | --proto | --proto-redir | --cacert | --data-binary | \\
      --data-urlencode | --header | --output | --write-out | --proxy | --user-agent) value=1 ;;
    --*) echo "curl: option $word: is unknown" >&2; exit 2 ;;
    -*)
      case \${word#-} in *[!fsSLoORCzFTwGHIXdxiA]*) echo "curl: option $word: is unknown" >&2; exit 2 ;; esac
      case $word in *[oCzFTwHXdxA]) value=1 ;; esac
      ;;
  esac
done
exec /usr/bin/curl --http1.1 "$@"
`
