/** Every command with its options and its help. */

export interface OptionSpec {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  /** What stands for its value in the help. */
  readonly value?: string
  readonly text: string
}

/** The options of all commands: one of a name means one thing everywhere. */
export const options = {
  config: { type: 'string', short: 'c', value: 'FILE', text: 'the config file' },
  help: { type: 'boolean', short: 'h', text: 'print this' },
  version: { type: 'boolean', short: 'v', text: 'print the version' },
  diff: { type: 'boolean', text: 'ask the running gateway what a reload would change' },
  admin: {
    type: 'string',
    value: 'URL',
    text: 'where the admin is: http://host:port or unix:/path',
  },
  'token-file': { type: 'string', value: 'FILE', text: 'a file with the admin token' },
  ca: { type: 'string', value: 'FILE', text: 'PEM file of the authorities to trust for https' },
  json: { type: 'boolean', text: "print the API's JSON" },
  watch: { type: 'boolean', text: 'print it again every 2s, until Ctrl-C' },
  sort: { type: 'string', value: 'BY', text: 'age, bytes, idle or rate: the most first' },
  limit: { type: 'string', value: 'N', text: 'how many at most, up to 1000' },
  route: { type: 'string', value: 'NAME', text: 'of this route' },
  upstream: { type: 'string', value: 'NAME', text: 'of this upstream' },
  endpoint: { type: 'string', value: 'URL', text: 'at this endpoint, by its URL or id' },
  user: { type: 'string', value: 'NAME', text: 'of this user' },
  client: {
    type: 'string',
    value: 'ADDRESS',
    text: 'of this address or block, such as 10.0.0.0/8',
  },
  protocol: { type: 'string', value: 'TOKEN', text: 'of this protocol, such as websocket' },
  'min-age': { type: 'string', value: 'TIME', text: 'open for at least so long, such as 5m' },
  'max-age': { type: 'string', value: 'TIME', text: 'open for at most so long' },
  'min-idle': { type: 'string', value: 'TIME', text: 'without a byte for at least so long' },
  all: { type: 'boolean', text: 'every tunnel there is' },
  code: { type: 'string', value: 'N', text: 'code of the Close frame' },
  reason: { type: 'string', value: 'TEXT', text: 'text of the Close frame' },
  over: {
    type: 'string',
    value: 'TIME',
    text: 'evenly over this time, such as 30s, in place of all at once',
  },
  yes: { type: 'boolean', short: 'y', text: 'do not ask' },
  close: { type: 'boolean', text: 'close the tunnels that it has' },
  rate: { type: 'string', value: 'N/s', text: 'tunnels closed a second at most' },
  spread: { type: 'string', value: '10%', text: 'how far above its share an endpoint may be' },
  status: { type: 'boolean', text: 'tell of the job that runs, or of the last one' },
  stop: { type: 'boolean', text: 'stop the job that runs' },
  'dry-run': { type: 'boolean', text: 'only say what would change' },
} as const satisfies Record<string, OptionSpec>

export type OptionName = keyof typeof options

export const filterOptions = [
  'route',
  'upstream',
  'endpoint',
  'user',
  'client',
  'protocol',
  'min-age',
  'max-age',
  'min-idle',
] as const satisfies readonly OptionName[]

/** Where the admin is. */
const place = ['admin', 'token-file', 'ca', 'config'] as const satisfies readonly OptionName[]

export interface CommandSpec {
  /** Behind `upgate`. */
  readonly usage: string
  readonly summary: string
  readonly options: readonly OptionName[]
  /** Words that it needs, and words that it can do without. */
  readonly words: readonly [min: number, max: number]
  /** It asks the admin API. */
  readonly calls: boolean
  readonly examples: readonly string[]
}

const plain = { options: [], words: [0, 0], calls: false, examples: [] } as const

export const commands = {
  run: {
    ...plain,
    usage: '[run] [-c FILE]',
    summary: 'serve until SIGTERM or SIGINT',
    options: ['config'],
  },
  check: {
    ...plain,
    usage: 'check [-c FILE] [--diff]',
    summary: 'say whether the config is right, and everything that is not',
    options: ['diff', ...place],
    words: [0, 1],
    examples: ['check -c upgate.yaml', 'check --diff'],
  },
  schema: {
    ...plain,
    usage: 'schema',
    summary: 'print the JSON Schema of the config, for editors',
  },
  openapi: { ...plain, usage: 'openapi', summary: 'print the OpenAPI document of the admin API' },
  tunnels: {
    usage: 'tunnels [ID] [filters]',
    summary: 'list open tunnels',
    options: [...filterOptions, 'sort', 'limit', 'watch', 'json', ...place],
    words: [0, 1],
    calls: true,
    examples: [
      'tunnels --sort rate --watch',
      'tunnels --route chat --min-idle 5m',
      'tunnels --client 10.0.0.0/8 --json',
    ],
  },
  upstreams: {
    usage: 'upstreams',
    summary: 'list endpoints with their tunnels',
    options: ['json', ...place],
    words: [0, 0],
    calls: true,
    examples: [],
  },
  close: {
    usage: 'close ID | filters | --all',
    summary: 'close tunnels',
    options: [...filterOptions, 'all', 'code', 'reason', 'over', 'yes', 'json', ...place],
    words: [0, 1],
    calls: true,
    examples: [
      'close 3f2a9c1e-77b0',
      'close --user ann --code 1008 --reason "account closed"',
      'close --upstream chat --over 30s --yes',
    ],
  },
  drain: {
    usage: 'drain UPSTREAM ENDPOINT',
    summary: 'give an endpoint no new tunnels',
    options: ['close', 'over', 'json', ...place],
    words: [2, 2],
    calls: true,
    examples: ['drain chat http://chat-1:3000', 'drain chat http://chat-1:3000 --close --over 5m'],
  },
  enable: {
    usage: 'enable UPSTREAM ENDPOINT',
    summary: 'give it new tunnels again',
    options: ['json', ...place],
    words: [2, 2],
    calls: true,
    examples: ['enable chat http://chat-1:3000'],
  },
  rebalance: {
    usage: 'rebalance UPSTREAM',
    summary: 'close tunnels of the fullest endpoints, a few a second',
    options: ['rate', 'spread', 'status', 'stop', 'json', ...place],
    words: [1, 1],
    calls: true,
    examples: ['rebalance chat --rate 10/s --spread 5%', 'rebalance chat --status'],
  },
  reload: {
    usage: 'reload [--dry-run]',
    summary: 'have the gateway read its config again',
    options: ['dry-run', 'json', ...place],
    words: [0, 0],
    calls: true,
    examples: ['reload --dry-run'],
  },
} as const satisfies Record<string, CommandSpec>

export type CommandName = keyof typeof commands

export const commandNames = Object.keys(commands) as CommandName[]
