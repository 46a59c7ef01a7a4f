import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { parseArguments } from '../../src/cli/arguments.ts'
import { commandNames, commands, type CommandSpec } from '../../src/cli/commands.ts'
import { help, helpOf } from '../../src/cli/help.ts'

describe('help', () => {
  it('names every command', () => {
    for (const name of commandNames) assert.ok(help.includes(commands[name].summary), name)
  })

  it('has lines that a terminal shows whole', () => {
    for (const line of [help, ...commandNames.map(helpOf)].join('\n').split('\n')) {
      assert.ok(line.length <= 125, line)
    }
  })

  for (const name of commandNames) {
    it(`tells the options of ${name}, and has examples that are right`, () => {
      const { options, examples }: CommandSpec = commands[name]
      const text = helpOf(name)
      for (const option of options) assert.ok(text.includes(`--${option}`), option)
      for (const example of examples) {
        const words = [...example.matchAll(/"([^"]*)"|(\S+)/g)].map(
          ([, quoted, word]) => quoted ?? word ?? '',
        )
        const command = parseArguments(words)
        const parsed = command.name === 'call' ? command.command : command.name
        assert.equal(parsed, name, example)
      }
    })
  }
})
