/** What `--help` prints. */
export const help = `upgate, a gateway for HTTP Upgrade: WebSocket, docker, SPDY and other tunnels.

Usage
  upgate [run] [-c FILE]     serve until SIGTERM or SIGINT
  upgate check [-c FILE]     say whether the config is right, and everything that is not
  upgate schema              print the JSON Schema of the config, for editors
  upgate --version           print the version
  upgate --help              print this

The config file is FILE, else $UPGATE_CONFIG, else ./upgate.yaml, else /etc/upgate/upgate.yaml.

Example
  cat > upgate.yaml <<END
  routes:
    - match: { path: /ws }
      upstream: http://localhost:3000
  END
  upgate check && upgate

  Clients connect to port 8080. Operators find /healthz, /readyz and /metrics at 127.0.0.1:9090.

Signals
  SIGHUP            read the config again; a wrong one changes nothing
  SIGTERM, SIGINT   take no new requests, let tunnels end (shutdown.drain), then exit with 0
  the second one    exit at once

Exit codes
  0 all went well · 1 the config is wrong or an address is taken · 2 wrong command line
  130, 143 ended by a second SIGINT or SIGTERM
`
