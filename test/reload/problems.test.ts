import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError } from '../../src/config/problem.ts'
import { problemsOf } from '../../src/reload/problems.ts'
import { loadText } from '../config/load-text.ts'

const next = loadText('listeners: [{ address: ":8443" }]\nroutes: [{ upstream: "builtin:echo" }]')

describe('problemsOf', () => {
  it('has an entry for each problem of a config', () => {
    const problem = { file: 'a.yaml', place: undefined, path: 'routes', text: 'missing' }
    const error = new ConfigError([problem, { ...problem, path: 'admin' }])
    assert.deepEqual(problemsOf(error, undefined), [
      'a.yaml: routes: missing',
      'a.yaml: admin: missing',
    ])
  })

  it('says which address of the new config cannot be had', () => {
    const error = Object.assign(new Error('in use'), {
      code: 'EADDRINUSE',
      syscall: 'listen',
      address: '0.0.0.0',
      port: 8443,
    })
    assert.match(
      problemsOf(error, next)[0] ?? '',
      /^cannot listen on 0\.0\.0\.0:8443 \(listeners\[0\]/,
    )
  })

  it('has an entry for each line of another error', () => {
    assert.deepEqual(problemsOf(new Error('one\ntwo'), next), ['one', 'two'])
    assert.deepEqual(problemsOf(new Error('no file'), undefined), ['no file'])
    assert.deepEqual(problemsOf('thrown', undefined), ['thrown'])
  })
})
