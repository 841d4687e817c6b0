"""libtorrent as a peer, driven by its arguments; says what happens in JSON lines.

python libtorrent_peer.py seed|leech TORRENT|MAGNET DIR webrtc|tcp|utp [TRACKER...]
"""

import json
import os
import sys
import time

import libtorrent as lt

role, what, folder, transport, *trackers = sys.argv[1:]
tcp, utp = transport == "tcp", transport == "utp"


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


# Loopback only, no STUN, and no discovery but a DHT of this machine where a test wants one; peers on one address are
# expected.
dht = os.environ.get("ANATOMIC_TEST_DHT")
entrance = os.environ.get("ANATOMIC_TEST_DHT_ENTRANCE", "")
encryption = {}
if os.environ.get("ANATOMIC_TEST_ENCRYPTION") == "required":
    encryption = {
        "in_enc_policy": int(lt.enc_policy.pe_forced),
        "out_enc_policy": int(lt.enc_policy.pe_forced),
        "allowed_enc_level": int(lt.enc_level.rc4),
    }
session = lt.session(
    {
        "listen_interfaces": f"127.0.0.1:{dht or os.environ.get('ANATOMIC_TEST_PORT', 0)}",
        "enable_dht": dht is not None,
        "dht_bootstrap_nodes": entrance,
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_enforce_node_id": False,
        "dht_ignore_dark_internet": False,
        "dht_prefer_verified_node_ids": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        "ssrf_mitigation": False,
        "validate_https_trackers": False,
        "webtorrent_stun_server": "",
        "enable_incoming_tcp": tcp,
        "enable_outgoing_tcp": tcp,
        "enable_incoming_utp": utp,
        "enable_outgoing_utp": utp,
        **encryption,
        "announce_to_all_trackers": True,
        "announce_to_all_tiers": True,
        "connections_limit": 500,
        "alert_mask": lt.alert.category_t.error_notification
        | lt.alert.category_t.status_notification
        | lt.alert.category_t.storage_notification
        | lt.alert.category_t.tracker_notification
        | lt.alert.category_t.connect_notification
        | lt.alert.category_t.peer_notification,
    }
)

if what.startswith("magnet:"):
    params = lt.parse_magnet_uri(what)
else:
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(what)
params.save_path = folder
for peer in os.environ.get("ANATOMIC_TEST_PEERS", "").split():
    host, port = peer.rsplit(":", 1)
    params.peers = params.peers + [(host, int(port))]
params.download_limit = int(os.environ.get("ANATOMIC_TEST_DOWNLOAD_LIMIT", -1))
if trackers:
    params.trackers = trackers
    params.tracker_tiers = [0] * len(trackers)

started = time.monotonic()
handle = session.add_torrent(params)
metadata = None
finished = None
done = flushed = False
told = 0.0
while True:
    session.wait_for_alert(50)
    for alert in session.pop_alerts():
        text = str(alert)
        flushed = flushed or (finished is not None and isinstance(alert, lt.cache_flushed_alert))
        if "state_changed" not in alert.what():
            say("alert", what=alert.what(), text=text[:300])
    status = handle.status()
    now = time.monotonic() - started
    if metadata is None and status.has_metadata:
        metadata = now
        say("metadata", seconds=now)
    if finished is None and status.is_seeding:
        # Complete means hashed; it is on its way to the file still.
        finished = now
        handle.flush_cache()
    if flushed and not done:
        done = True
        say("seeding" if role == "seed" else "done", seconds=finished, metadata=metadata, port=session.listen_port())
    if now - told > 2:
        told = now
        say(
            "state",
            state=str(status.state),
            progress=status.progress,
            peers=status.num_peers,
            uploaded=status.total_payload_upload,
            rate=status.download_payload_rate,
        )
