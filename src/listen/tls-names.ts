/** Which certificates a client gets for the name that it asks for. */

import type { LoadedCertificate } from './tls-certificate.ts'

/** Certificates that are shown for the same names: at most one of each type of key, of which OpenSSL picks by what the client can. */
export type Group = readonly LoadedCertificate[]

export class NameTable {
  /** Each once; the first is the default. */
  readonly groups: readonly Group[]
  readonly #exact: ReadonlyMap<string, Group>
  /** By what stands behind the first label, with its dot. */
  readonly #wildcards: ReadonlyMap<string, Group>

  /** `certificates` has one or more; of one name and type of key the first wins. */
  constructor(certificates: readonly LoadedCertificate[]) {
    const names = new Set(certificates.flatMap((certificate) => certificate.names))
    const groups = new Map<string, Group>()
    const named = (name: string): Group => {
      const group = groupOf(certificates, name)
      const id = group.map((certificate) => certificates.indexOf(certificate)).join(' ')
      const known = groups.get(id) ?? group
      groups.set(id, known)
      return known
    }
    const all = [...names].map((name) => [name, named(name)] as const)
    this.#exact = new Map(all.filter(([name]) => !name.startsWith('*.')))
    this.#wildcards = new Map(
      all.filter(([name]) => name.startsWith('*.')).map(([name, group]) => [name.slice(1), group]),
    )
    this.groups = [...groups.values()]
  }

  get default(): Group {
    return this.groups[0] as Group
  }

  /** `name` in lower case. RFC 9525 6.3: a wildcard stands for one whole label. */
  find(name: string): Group | undefined {
    const exact = this.#exact.get(name)
    if (exact !== undefined) return exact
    const dot = name.indexOf('.')
    return dot < 1 ? undefined : this.#wildcards.get(name.slice(dot))
  }
}

function groupOf(certificates: readonly LoadedCertificate[], name: string): Group {
  const group: LoadedCertificate[] = []
  for (const certificate of certificates) {
    const isTaken = group.some(({ keyType }) => keyType === certificate.keyType)
    if (certificate.names.includes(name) && !isTaken) group.push(certificate)
  }
  return group
}
