import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  loadBinding,
  READING_NUMBERS,
  type Binding,
  type PolicyHandle,
  type RelayEvent,
  type RelayHandle,
} from '../../src/relay/binding.ts'
import { withNative } from '../support/test-relay.ts'
import { binding } from './started-native.ts'

const NONE = (): void => {}
const reading = new Float64Array(READING_NUMBERS)

function newPolicy(): PolicyHandle {
  return binding().policy([1, 1, 1, 0, 1, 1, 0, 1001, 1001, 1001], '', '', '')
}

describe('loadBinding', () => {
  it('says that an addon is not built', () => {
    assert.deepEqual(loadBinding('../../build/no-such.node'), {
      missing: 'it is not built (`npm run build:native` builds it where a C compiler is)',
    })
  })

  it('says that a file cannot be loaded, in one line', () => {
    const loaded = loadBinding(join(import.meta.dirname, '../fixtures/tls/ca.pem'))
    assert.ok('missing' in loaded)
    assert.match(loaded.missing, /^it cannot be loaded: [^\n]+$/)
  })
})

describe('the native functions', withNative, () => {
  it('refuse to start without threads, bytes or a function', () => {
    const native = binding()
    for (const args of [
      [0, 65_536, NONE, reading],
      [1, 0, NONE, reading],
      [1, 65_536, 'a text', reading],
      [1, 65_536, NONE],
      [1, 65_536, NONE, new Float64Array(READING_NUMBERS - 1)],
      [1, 65_536, NONE, new Float32Array(READING_NUMBERS)],
      [],
    ] as unknown as Parameters<Binding['start']>[]) {
      assert.throws(() => native.start(...args), {
        name: 'TypeError',
        message: 'expected threads, bytes, a function, and an array for readings',
      })
    }
  })

  it('refuse what is no relay', () => {
    const native = binding()
    const policy = newPolicy()
    for (const handle of [undefined, null, {}, 1] as unknown as RelayHandle[]) {
      const problem = { name: 'TypeError', message: 'the first argument is not a relay' }
      assert.throws(() => native.stop(handle), problem)
      assert.throws(() => native.close(handle, 0, 0, 0, 0, 0, ''), problem)
      assert.throws(() => native.open(handle, -1, 0, 0, '', '', 0, policy), problem)
    }
  })

  it('refuse a relay that is stopped', () => {
    const native = binding()
    const relay = native.start(1, 65_536, NONE, reading)
    native.stop(relay)
    const problem = { message: 'the relay is stopped' }
    assert.throws(() => native.dial(relay, -1, '127.0.0.1', 1, 'x', 1, 1, ''), problem)
    assert.throws(() => native.stop(relay), problem)
  })

  it('refuse numbers that name no tunnel', () => {
    const native = binding()
    const relay = native.start(1, 65_536, NONE, reading)
    const policy = newPolicy()
    const problem = { name: 'RangeError', message: 'no such tunnel' }
    for (const id of [-1, 0, 63, 64, 2 ** 31 - 1]) {
      assert.throws(() => native.close(relay, id, 0, 0, 0, 0, ''), problem)
      assert.throws(() => native.bytes(relay, id, 0), problem)
      assert.throws(() => native.read(relay, id), problem)
      assert.throws(() => native.proceed(relay, id, true), problem)
      assert.throws(() => native.release(relay, id, 1), problem)
      if (id >= 0) assert.throws(() => native.open(relay, id, 0, 0, '', '', 0, policy), problem)
    }
    native.stop(relay)
  })

  it('refuse what is no policy', () => {
    const native = binding()
    const relay = native.start(1, 65_536, NONE, reading)
    for (const policy of [undefined, null, {}, 1] as unknown as PolicyHandle[]) {
      assert.throws(() => native.open(relay, -1, 0, 0, '', '', 0, policy), {
        name: 'TypeError',
        message: 'the last argument is not a policy',
      })
    }
    for (const numbers of [[], [1, 2, 3], ['1']] as unknown as number[][]) {
      assert.throws(() => native.policy(numbers, '', '', ''), {
        name: 'TypeError',
        message: 'expected the numbers of a policy',
      })
    }
    native.stop(relay)
  })

  it('answer what can be no address with EINVAL, and no descriptor with EBADF', () => {
    const native = binding()
    const relay = native.start(1, 65_536, NONE, reading)
    const policy = newPolicy()
    const EINVAL = -constants.errno.EINVAL
    for (const host of ['', 'localhost', '127.0.0.1.', '1.2.3', '[::1]', 'x'.repeat(200)]) {
      assert.equal(native.dial(relay, -1, host, 80, 'x', 1, 1, ''), EINVAL, host)
    }
    assert.equal(native.dial(relay, -1, `/tmp/${'x'.repeat(200)}`, -1, 'x', 1, 1, ''), EINVAL)
    assert.equal(native.dial(relay, -1, '127.0.0.1', 80, '', 1, 1, ''), EINVAL)
    assert.equal(
      native.open(relay, -1, 1_000_000, 1_000_000, 'a', 'b', 0, policy),
      -constants.errno.EBADF,
    )
    native.stop(relay)
  })

  it('reset what is open when the relay is stopped, and tell nobody', async () => {
    const native = binding()
    const told: RelayEvent[] = []
    const relay = native.start(2, 65_536, (...event) => told.push(event), reading)
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const accepted = once(server, 'connection') as Promise<[net.Socket]>
    const { port } = server.address() as net.AddressInfo
    assert.ok(native.dial(relay, -1, '127.0.0.1', port, 'hello', Infinity, Infinity, '') >= 0)
    const [socket] = await accepted
    assert.equal(String((await once(socket, 'data'))[0]), 'hello')
    const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
    native.stop(relay)
    assert.equal((await failed)[0].code, 'ECONNRESET')
    assert.deepEqual(told, [])
    server.close()
    await once(server, 'close')
  })
})
