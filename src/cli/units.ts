/** Numbers as people read them at a glance. */

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `0 B`, `999 B`, `1.2 KiB`, `34 MiB`: three digits at most. */
export function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  // What would be rounded to 1000 has the next unit.
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1024
    unit += 1
  }
  const isShort = unit > 0 && value < 9.95
  return `${isShort ? value.toFixed(1) : String(Math.round(value))} ${byteUnits[unit]}`
}

/** `1.2 KiB/s`; `-` for nothing at all. */
export function byteRateText(bytesPerSecond: number): string {
  return bytesPerSecond < 0.5 ? '-' : `${bytesText(bytesPerSecond)}/s`
}

/** `0.3`, `12`, `1,234`; `-` for nothing at all. */
export function rateText(perSecond: number): string {
  if (perSecond < 0.05) return '-'
  return perSecond < 9.95 ? perSecond.toFixed(1) : countText(Math.round(perSecond))
}

/** `450ms`, `7s`, `3m12s`, `5h04m`, `2d03h`: two units at most. */
export function secondsText(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)}ms`
  const whole = Math.floor(seconds)
  const [days, hours, minutes] = [whole / 86_400, whole / 3600, whole / 60].map(Math.floor) as [
    number,
    number,
    number,
  ]
  if (days > 0) return `${days}d${twoDigits(hours % 24)}h`
  if (hours > 0) return `${hours}h${twoDigits(minutes % 60)}m`
  if (minutes > 0) return `${minutes}m${twoDigits(whole % 60)}s`
  return `${whole}s`
}

/** `1,234`. */
export function countText(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 tunnel`, `1,234 tunnels`. */
export function counted(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? '' : 's'}`
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}
