import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { parseArguments } from '../../src/cli/arguments.ts'
import type { Command } from '../../src/cli/arguments.ts'

const cases: [line: string, command: Command][] = [
  ['', { name: 'run', file: undefined }],
  ['run', { name: 'run', file: undefined }],
  ['-c a.yaml', { name: 'run', file: 'a.yaml' }],
  ['run --config=a.yaml', { name: 'run', file: 'a.yaml' }],
  ['check -c a.yaml', { name: 'check', file: 'a.yaml' }],
  ['-c a.yaml check', { name: 'check', file: 'a.yaml' }],
  ['check', { name: 'check', file: undefined }],
  ['schema', { name: 'schema' }],
  ['--help', { name: 'help' }],
  ['check -h', { name: 'help' }],
  ['help', { name: 'help' }],
  ['--version', { name: 'version' }],
  ['-v', { name: 'version' }],
  ['version', { name: 'version' }],
]

const misuses: [line: string, problem: string][] = [
  ['chek', 'there is no command "chek", did you mean check?'],
  ['start', 'there is no command "start"'],
  ['--confg a', 'there is no option --confg, did you mean --config?'],
  ['--port=80', 'there is no option --port'],
  ['-x', 'there is no option -x'],
  ['run -c', '-c needs the config file after it'],
  ['run a.yaml', '"a.yaml" is too much after run; a config file is given with -c a.yaml'],
  ['schema -c a.yaml', 'schema takes no config file'],
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
