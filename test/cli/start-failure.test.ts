import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { describeStartFailure } from '../../src/cli/start-failure.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { loadText } from '../config/load-text.ts'

const config = loadText(`
listeners: [{ address: "0.0.0.0:8080" }, { address: "unix:/run/a.sock" }, { address: "localhost:81" }]
admin: { address: "[::1]:9090" }
routes: [{ upstream: "builtin:echo" }]`)

function listenError(code: string, fields: object): Error {
  return Object.assign(new Error(`listen ${code}`), { code, syscall: 'listen', ...fields })
}

const cases: [name: string, error: unknown, text: string][] = [
  [
    'a port in use, with the key of its listener',
    listenError('EADDRINUSE', { address: '0.0.0.0', port: 8080 }),
    'cannot listen on 0.0.0.0:8080 (listeners[0].address): the address is in use. Stop the program that uses it (ss -ltnp shows it), or choose another address.',
  ],
  [
    'a port in use, of the admin server',
    listenError('EADDRINUSE', { address: '::1', port: 9090 }),
    'cannot listen on [::1]:9090 (admin.address): the address is in use. Stop the program that uses it (ss -ltnp shows it), or choose another address.',
  ],
  [
    'a path in use',
    listenError('EADDRINUSE', { address: '/run/a.sock', port: -1 }),
    'cannot listen on unix:/run/a.sock (listeners[1].address): the path is in use. Stop the program that listens there (ss -lxp shows it), or choose another path; a file that is no socket is not touched.',
  ],
  [
    'a folder of a unix socket that is missing',
    listenError('EACCES', { address: '/run/a.sock', port: -1 }),
    'cannot listen on unix:/run/a.sock (listeners[1].address): the folder of the unix socket does not exist, or this user may not write to it. Make it, or choose another path.',
  ],
  [
    'a port that needs a privilege, of a host name',
    listenError('EACCES', { address: '127.0.0.1', port: 81 }),
    'cannot listen on localhost:81 (listeners[2].address): this user may not. Choose a port from 1024, or allow it (CAP_NET_BIND_SERVICE).',
  ],
  [
    'an address of another machine',
    listenError('EADDRNOTAVAIL', { address: '192.0.2.1', port: 1 }),
    'cannot listen on 192.0.2.1:1: this machine has no such address. Choose one of its own, or 0.0.0.0 for all.',
  ],
  [
    'a host that has no address',
    Object.assign(new Error('getaddrinfo'), {
      code: 'ENOTFOUND',
      syscall: 'getaddrinfo',
      hostname: 'nowhere.invalid',
    }),
    'cannot listen on nowhere.invalid: the host name is not known. Write an IP address.',
  ],
  [
    'anything else that the system says',
    listenError('EMFILE', { address: '0.0.0.0', port: 8080 }),
    'cannot listen on 0.0.0.0:8080 (listeners[0].address): listen EMFILE',
  ],
  [
    'another error of the system',
    Object.assign(new Error('open /a'), { code: 'EACCES', syscall: 'open' }),
    'open /a',
  ],
  ['an error with words of its own', new Error('users.htpasswd: line 3'), 'users.htpasswd: line 3'],
  [
    'a wrong configuration',
    new ConfigError([{ file: 'a', place: undefined, path: '', text: 'b' }]),
    'a: b',
  ],
  ['what is no Error', 'thrown', 'thrown'],
]

describe('describeStartFailure', () => {
  for (const [name, error, text] of cases) {
    it(`describes ${name}`, () => assert.equal(describeStartFailure(error, config), text))
  }

  it('shows the stack of a fault of the program', () => {
    assert.match(describeStartFailure(new TypeError('oh'), config), /^TypeError: oh\n +at /)
  })
})
