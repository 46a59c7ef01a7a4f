#!/usr/bin/env node
/** The start of the program: looks at Node before anything is loaded that needs a newer one. */

/** Older ones load the program, and end at its first WebSocket. */
const NODE_MAJOR_MIN = 22

const { node } = process.versions
if (Number.parseInt(node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `upgate: Node ${node} is too old; Node ${NODE_MAJOR_MIN} or newer is needed\n`,
  )
  process.exit(1)
}
// With it node would open its inspector: code execution for every local user. Rules for logrotate that were written for nginx
// send it.
process.on('SIGUSR1', () => {})
await import('./program.ts')
