// WebTorrent in Node, driven by its arguments; says what happens in JSON lines.
// node webtorrent.mjs PACKAGE seed|leech TORRENT|MAGNET FILE|DIR TRACKER...
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [file, role, what, place, ...trackers] = process.argv.slice(2)
const { default: WebTorrent } = await import(pathToFileURL(file))
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }))

// WebRTC only, by the trackers that are named: no DHT, no local discovery, no TCP, no STUN server.
const client = new WebTorrent({
  dht: false, lsd: false, utPex: false, natUpnp: false, natPmp: false, utp: false,
  maxConns: 55, tracker: { rtcConfig: { iceServers: [] } }
})
client.on('error', error => { say('error', { error: String(error) }); process.exit(1) })

const started = performance.now()
const seconds = () => (performance.now() - started) / 1000
const source = what.startsWith('magnet:') ? what : fs.readFileSync(what)
const options = { path: role === 'seed' ? path.dirname(place) : place, announce: trackers }
const torrent = client.add(source, options)
let metadata
torrent.on('metadata', () => { metadata = seconds(); say('metadata', { seconds: metadata, infoHash: torrent.infoHash }) })
torrent.on('wire', wire => {
  say('wire', { type: wire.type })
  // A classic peer would prove nothing here.
  if (!/^webrtc/i.test(wire.type)) wire.destroy()
})
torrent.on('warning', warning => say('warning', { warning: String(warning) }))
torrent.on('done', () => say(role === 'seed' ? 'seeding' : 'done', { seconds: seconds(), metadata, length: torrent.length }))
setInterval(() => say('state', { progress: torrent.progress, peers: torrent.numPeers, uploaded: torrent.uploaded }), 2000).unref()
setInterval(() => {}, 1000)
