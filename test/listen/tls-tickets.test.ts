import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { TicketKeys } from '../../src/listen/tls-tickets.ts'

const HOURS_MS = 3_600_000

describe('TicketKeys', () => {
  it('are others every twelve hours, until they are closed', () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const told: Buffer[] = []
    const tickets = new TicketKeys((keys) => told.push(keys))
    const first = tickets.current
    assert.equal(first.length, 48)
    mock.timers.tick(12 * HOURS_MS - 1)
    assert.equal(tickets.current, first)
    mock.timers.tick(1)
    assert.deepEqual(told, [tickets.current])
    assert.ok(!tickets.current.equals(first))
    tickets.close()
    mock.timers.tick(24 * HOURS_MS)
    assert.equal(told.length, 1)
    mock.timers.reset()
  })
})
