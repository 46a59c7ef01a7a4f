/** What `--help` prints. */

import { commandNames, commands, filterOptions, options } from './commands.ts'
import type { CommandName, CommandSpec, OptionName, OptionSpec } from './commands.ts'

/** Of all commands. */
export const help = `upgate, a gateway for HTTP Upgrade: WebSocket, docker, SPDY and other tunnels.

Usage
${usageLines(commandNames)}
  upgate --version                     print the version
  upgate COMMAND --help                print what a command takes

The config file is FILE, else $UPGATE_CONFIG, else ./upgate.yaml, else /etc/upgate/upgate.yaml.
The running gateway is asked at --admin URL, else $UPGATE_ADMIN, else at admin.address of the config file; its token is that
of --token-file, else $UPGATE_ADMIN_TOKEN, else admin.token of that file.

Example
  cat > upgate.yaml <<END
  routes:
    - match: { path: /ws }
      upstream: http://localhost:3000
  END
  upgate check && upgate

  Clients connect to port 8080. Operators find /healthz, /readyz, /metrics and /api at 127.0.0.1:9090.

Signals
  SIGTERM, SIGINT, SIGQUIT, SIGUSR2
                    take no new requests, let tunnels end (shutdown.drain), then exit with 0
  the second one    exit at once
  SIGHUP            read the config again
  SIGUSR1           nothing: Node's inspector stays shut

Exit codes
  0 all went well · 1 the config is wrong, an address is taken, or the gateway refused · 2 wrong command line
  3 no gateway answers · 128 + the number of the signal, such as 130 for SIGINT and 143 for SIGTERM: ended by a second one
`

/** Of one. */
export function helpOf(name: CommandName): string {
  const { usage, summary, options: known, examples }: CommandSpec = commands[name]
  const filters: readonly OptionName[] = filterOptions
  const own = known.filter((option) => !filters.includes(option))
  return [
    `upgate ${usage}`,
    `  ${summary}`,
    ...optionLines(
      'Filters',
      known.filter((option) => filters.includes(option)),
    ),
    ...optionLines('Options', own),
    ...(examples.length === 0
      ? []
      : ['', 'Examples', ...examples.map((line) => `  upgate ${line}`)]),
    '',
  ].join('\n')
}

function usageLines(names: readonly CommandName[]): string {
  return names
    .map((name) => `  ${`upgate ${commands[name].usage}`.padEnd(36)} ${commands[name].summary}`)
    .join('\n')
}

function optionLines(title: string, names: readonly OptionName[]): string[] {
  if (names.length === 0) return []
  return [
    '',
    title,
    ...names.map((name) => `  ${optionWord(name).padEnd(22)} ${options[name].text}`),
  ]
}

function optionWord(name: OptionName): string {
  const spec: OptionSpec = options[name]
  const short = spec.short === undefined ? '' : `-${spec.short}, `
  return `${short}--${name}${spec.value === undefined ? '' : ` ${spec.value}`}`
}
