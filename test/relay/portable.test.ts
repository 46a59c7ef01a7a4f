import { relayPortably } from '../../src/relay/portable.ts'
import { Sweep } from '../../src/relay/sweep.ts'
import { relayCases } from './relay-cases.ts'

relayCases('the portable relay', () => {
  const sweep = new Sweep()
  return {
    relay: (client, upstream, start) => relayPortably(client, upstream, start, sweep),
    stop: () => {},
  }
})
