import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { parseArguments } from '../../src/cli/arguments.ts'
import type { Command } from '../../src/cli/arguments.ts'

const cases: [line: string, command: Command][] = [
  ['', { name: 'run', file: undefined }],
  ['run', { name: 'run', file: undefined }],
  ['-c a.yaml', { name: 'run', file: 'a.yaml' }],
  ['run --config=a.yaml', { name: 'run', file: 'a.yaml' }],
  ['check -c a.yaml', { name: 'check', file: 'a.yaml', diff: undefined }],
  ['-c a.yaml check', { name: 'check', file: 'a.yaml', diff: undefined }],
  ['check', { name: 'check', file: undefined, diff: undefined }],
  ['check --diff', { name: 'check', file: undefined, diff: { diff: true } }],
  [
    'check --diff http://a:1 -c a.yaml',
    {
      name: 'check',
      file: 'a.yaml',
      diff: { diff: true, config: 'a.yaml', admin: 'http://a:1' },
    },
  ],
  [
    'check --diff --admin b:2',
    { name: 'check', file: undefined, diff: { diff: true, admin: 'b:2' } },
  ],
  ['schema', { name: 'schema' }],
  ['openapi', { name: 'openapi' }],
  ['--help', { name: 'help', command: undefined }],
  ['help', { name: 'help', command: undefined }],
  ['check -h', { name: 'help', command: 'check' }],
  ['tunnels --help', { name: 'help', command: 'tunnels' }],
  ['help close', { name: 'help', command: 'close' }],
  ['--version', { name: 'version' }],
  ['-v', { name: 'version' }],
  ['version', { name: 'version' }],
  ['tunnels', { name: 'call', command: 'tunnels', words: [], values: {} }],
  [
    'tunnels --route a --min-idle 5m --watch --json',
    {
      name: 'call',
      command: 'tunnels',
      words: [],
      values: { route: 'a', 'min-idle': '5m', watch: true, json: true },
    },
  ],
  ['close abc -y', { name: 'call', command: 'close', words: ['abc'], values: { yes: true } }],
  [
    'drain chat http://a:1 --close --over 30s',
    {
      name: 'call',
      command: 'drain',
      words: ['chat', 'http://a:1'],
      values: { close: true, over: '30s' },
    },
  ],
  ['enable chat a', { name: 'call', command: 'enable', words: ['chat', 'a'], values: {} }],
  ['rebalance chat', { name: 'call', command: 'rebalance', words: ['chat'], values: {} }],
  ['reload --dry-run', { name: 'call', command: 'reload', words: [], values: { 'dry-run': true } }],
  ['upstreams', { name: 'call', command: 'upstreams', words: [], values: {} }],
]

const misuses: [line: string, problem: string][] = [
  ['chek', 'there is no command "chek", did you mean check?'],
  ['start', 'there is no command "start"'],
  ['help chek', 'there is no command "chek", did you mean check?'],
  ['--confg a', 'there is no option --confg, did you mean --config?'],
  ['--workers=80', 'there is no option --workers'],
  ['-x', 'there is no option -x'],
  ['run -c', '-c needs the config file after it'],
  ['tunnels --route', '--route needs its value after it'],
  ['run a.yaml', '"a.yaml" is too much after run; a config file is given with -c a.yaml'],
  ['check a.yaml', '"a.yaml" is too much after check; a config file is given with -c a.yaml'],
  ['schema -c a.yaml', 'schema takes no config file'],
  ['schema a', '"a" is too much after schema'],
  ['run --json', 'run takes no --json'],
  ['check --admin http://a:1', '--admin is for check --diff'],
  ['tunnels --close', 'tunnels takes no --close'],
  ['tunnels a b', '"b" is too much after tunnels a'],
  ['drain chat', 'drain needs more words: upgate drain UPSTREAM ENDPOINT'],
  ['rebalance', 'rebalance needs more words: upgate rebalance UPSTREAM'],
  ['reload now', '"now" is too much after reload'],
]

function words(line: string): string[] {
  return line.split(' ').filter((word) => word !== '')
}

describe('parseArguments', () => {
  for (const [line, command] of cases) {
    it(`understands "${line}"`, () => assert.deepEqual(parseArguments(words(line)), command))
  }
  for (const [line, problem] of misuses) {
    it(`tells what is wrong with "${line}"`, () => {
      assert.deepEqual(parseArguments(words(line)), { name: 'misuse', problem })
    })
  }
  it('tells that a switch takes no value', () => {
    const command = parseArguments(['--help=yes'])
    assert.equal(command.name, 'misuse')
  })
})
