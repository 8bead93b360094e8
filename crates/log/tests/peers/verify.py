"""Checks exhibits of the log with two verifiers that other people wrote: aics-tlog and pymerkle.

Usage: verify.py aics|pymerkle FOLDER. Reads FOLDER/exhibits.json, prints one JSON object: verdicts by name of the exhibit, and what
the peer makes itself of the same entries and keys. `../peers.rs` writes the exhibits and knows what the verdicts must be.
"""

import json
import sys
from pathlib import Path


def unhex(texts):
    return [bytes.fromhex(text) for text in texts]


class SigningKey:
    """An Ed25519 key with the one method that Debian 12's python3-cryptography lacks and aics-tlog calls."""

    def __init__(self, seed):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
        self.sign = self._key.sign

    def public_key(self):
        return self

    def public_bytes_raw(self):
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Aics:
    """C2SP notes, checkpoints, cosignatures, tiles, and RFC 9162 proofs."""

    def checkpoint(self, case):
        from aics_tlog import parse_note, parse_vkey, verify_checkpoint

        note = parse_note(case["text"])
        witnesses = [parse_vkey(key) for key in case["witnesses"]]
        return verify_checkpoint(note, parse_vkey(case["log"]), witnesses, case["quorum"], expected_origin=case["origin"]).ok

    def inclusion(self, case):
        from aics_tlog import verify_leaf_inclusion

        leaf, root = bytes.fromhex(case["entry"]), bytes.fromhex(case["root"])
        return verify_leaf_inclusion(leaf, case["index"], case["size"], unhex(case["path"]), root)

    def consistency(self, case):
        from aics_tlog import verify_consistency

        roots = unhex([case["old_root"], case["new_root"]])
        return verify_consistency(case["old"], case["new"], *roots, unhex(case["proof"]))

    def tiles(self, case):
        from aics_tlog import FileSystemTileReader, audit_tiles

        return audit_tiles(FileSystemTileReader(case["folder"]), case["size"], bytes.fromhex(case["root"])).size == case["size"]

    def make(self, source):
        from aics_tlog import Checkpoint, MerkleTree, sign_checkpoint, sign_cosignature
        from aics_tlog.tiles import materialise_tiles

        entries = unhex(source["entries"])
        log, witness = (SigningKey(source[key]) for key in ("log_key", "witness_key"))
        tree, origin = MerkleTree(entries), source["origin"]
        note = sign_checkpoint(Checkpoint(origin, len(entries), tree.root()), log, origin)
        _, line = sign_cosignature(witness, source["witness"], source["time"], origin, len(entries), tree.root())
        note = type(note)(text=note.text, signatures=(*note.signatures, line))
        return {
            "checkpoint": note.serialise(),
            "tiles": {path: data.hex() for path, data in materialise_tiles(entries).items()},
            "inclusion": [[hash.hex() for hash in tree.inclusion_proof(*at)] for at in source["inclusion"]],
            "consistency": [[hash.hex() for hash in tree.consistency_proof(*sizes)] for sizes in source["consistency"]],
        }


class Pymerkle:
    """RFC 6962 trees and their inclusion proofs; its consistency proofs have a form of their own."""

    def inclusion(self, case):
        from pymerkle.core import _inclusion_path_layout
        from pymerkle.hasher import MerkleHasher
        from pymerkle.proof import InclusionProof

        leaf = MerkleHasher("sha256", True).hash_buff(bytes.fromhex(case["entry"]))
        index, size = case["index"] + 1, case["size"]
        rule, _ = _inclusion_path_layout(index, size)
        proof = InclusionProof("sha256", True, size, index, rule, [leaf, *unhex(case["path"])])
        proof.verify(leaf, bytes.fromhex(case["root"]), index=index, size=size, algorithm="sha256")
        return True

    def make(self, source):
        from pymerkle import InmemoryTree

        tree = InmemoryTree.init_from_entries(unhex(source["entries"]), algorithm="sha256")
        path = lambda index, size: [hash.hex() for hash in tree.prove_inclusion(index + 1, size).path[1:]]
        return {
            "roots": [tree.get_root(size).hex() for size in source["sizes"]],
            "inclusion": [path(*at) for at in source["inclusion"]],
        }


def main():
    peer = {"aics": Aics, "pymerkle": Pymerkle}[sys.argv[1]]()
    exhibits = json.loads(Path(sys.argv[2], "exhibits.json").read_text())
    verdicts = {}
    for case in exhibits["cases"]:
        check = getattr(peer, case["kind"], None)
        if check is None:
            continue
        try:
            verdicts[case["name"]] = bool(check(case))
        except ImportError:
            raise
        except Exception as refusal:  # The peers refuse by raising many kinds; which one is theirs to choose.
            print(f"{case['name']}: {type(refusal).__name__}: {refusal}", file=sys.stderr)
            verdicts[case["name"]] = False
    json.dump({"verdicts": verdicts, "made": peer.make(exhibits["source"])}, sys.stdout)


main()
