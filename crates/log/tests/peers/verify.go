// Checks exhibits of the log with golang.org/x/mod/sumdb, the code behind Go's checksum database.
//
// Usage: verify FOLDER. As verify.py. The peer reads notes, proofs and tiles; cosignatures it does not know, so their few lines
// (C2SP tlog-cosignature) are here, behind its own Verifier interface.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type exhibits struct {
	Cases  []exhibit `json:"cases"`
	Source source    `json:"source"`
}

type exhibit struct {
	Name, Kind            string
	Text, Log, Origin     string
	Witnesses             []string
	Quorum                int
	Entry, Root           string
	Index, Size, Old, New int64
	Path, Proof           []string
	OldRoot               string `json:"old_root"`
	NewRoot               string `json:"new_root"`
	Folder                string
}

type source struct {
	LogKey      string     `json:"log_key"`
	Origin      string     `json:"origin"`
	Folder      string     `json:"folder"`
	Size        int64      `json:"size"`
	Root        string     `json:"root"`
	Inclusion   [][2]int64 `json:"inclusion"`
	Consistency [][2]int64 `json:"consistency"`
}

// cosigner verifies cosignature/v1 lines.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("not a verifier key")
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, errors.New("not a cosigner's key")
	}
	return &cosigner{parts[0], uint32(hash), ed25519.PublicKey(key[1:])}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

func hash(text string) tlog.Hash {
	var h tlog.Hash
	if n, err := hex.Decode(h[:], []byte(text)); err != nil || n != len(h) {
		panic("the exhibits hold a bad hash: " + text)
	}
	return h
}

func hashes(texts []string) []tlog.Hash {
	var list []tlog.Hash
	for _, text := range texts {
		list = append(list, hash(text))
	}
	return list
}

func checkpoint(e exhibit) error {
	log, err := note.NewVerifier(e.Log)
	if err != nil {
		return err
	}
	known := []note.Verifier{log}
	for _, vkey := range e.Witnesses {
		witness, err := newCosigner(vkey)
		if err != nil {
			return err
		}
		known = append(known, witness)
	}
	opened, err := note.Open([]byte(e.Text), note.VerifierList(known...))
	if err != nil {
		return err
	}
	signed, cosigned := false, 0
	for _, sig := range opened.Sigs {
		if sig.Name == log.Name() && sig.Hash == log.KeyHash() {
			signed = true
		} else {
			cosigned++
		}
	}
	lines := strings.Split(opened.Text, "\n")
	if !signed || cosigned < e.Quorum || len(lines) != 4 || lines[0] != e.Origin {
		return errors.New("not what the policy asks for")
	}
	_, err = tlog.ParseHash(lines[2])
	return err
}

// tiles reads a log's folder as the peer's TileReader.
type tiles struct{ folder string }

func (t tiles) Height() int                     { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range list {
		// The peer's paths name the height; C2SP's do not, since it is always 8.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

// audit authenticates every leaf hash against the root and compares it with the entry beside it.
func audit(e exhibit) error {
	reader := tlog.TileHashReader(tlog.Tree{N: e.Size, Hash: hash(e.Root)}, tiles{e.Folder})
	for first := int64(0); first < e.Size; first += 256 {
		width := e.Size - first
		path := fmt.Sprintf("tile/entries/%03d.p/%d", first/256, width)
		if width >= 256 {
			width, path = 256, fmt.Sprintf("tile/entries/%03d", first/256)
		}
		bundle, err := os.ReadFile(filepath.Join(e.Folder, path))
		if err != nil {
			return err
		}
		var indexes []int64
		for i := int64(0); i < width; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+i))
		}
		leaves, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for _, leaf := range leaves {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return errors.New("torn bundle")
			}
			length := int(binary.BigEndian.Uint16(bundle))
			if tlog.RecordHash(bundle[2:2+length]) != leaf {
				return errors.New("an entry does not hash to its leaf")
			}
			bundle = bundle[2+length:]
		}
		if len(bundle) != 0 {
			return errors.New("a bundle is longer than its width")
		}
	}
	return nil
}

func check(e exhibit) (known bool, err error) {
	switch e.Kind {
	case "checkpoint":
		return true, checkpoint(e)
	case "inclusion":
		entry, err := hex.DecodeString(e.Entry)
		if err != nil {
			return true, err
		}
		return true, tlog.CheckRecord(hashes(e.Path), e.Size, hash(e.Root), e.Index, tlog.RecordHash(entry))
	case "consistency":
		return true, tlog.CheckTree(hashes(e.Proof), e.New, hash(e.NewRoot), e.Old, hash(e.OldRoot))
	case "tiles":
		return true, audit(e)
	}
	return false, nil
}

// made is what the peer makes of our tiles, and with the log's key.
func made(s source) (map[string]interface{}, error) {
	reader := tlog.TileHashReader(tlog.Tree{N: s.Size, Hash: hash(s.Root)}, tiles{s.Folder})
	text := func(list []tlog.Hash) []string {
		texts := []string{}
		for _, h := range list {
			texts = append(texts, hex.EncodeToString(h[:]))
		}
		return texts
	}
	inclusion, consistency := [][]string{}, [][]string{}
	for _, at := range s.Inclusion {
		proof, err := tlog.ProveRecord(at[1], at[0], reader)
		if err != nil {
			return nil, err
		}
		inclusion = append(inclusion, text(proof))
	}
	for _, sizes := range s.Consistency {
		proof, err := tlog.ProveTree(sizes[1], sizes[0], reader)
		if err != nil {
			return nil, err
		}
		consistency = append(consistency, text(proof))
	}
	seed, err := hex.DecodeString(s.LogKey)
	if err != nil {
		return nil, err
	}
	vkey, err := note.NewEd25519VerifierKey(s.Origin, ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	key := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	signer, err := note.NewSigner("PRIVATE+KEY+" + strings.Join(strings.Split(vkey, "+")[:2], "+") + "+" + key)
	if err != nil {
		return nil, err
	}
	root := hash(s.Root)
	body := fmt.Sprintf("%s\n%d\n%s\n", s.Origin, s.Size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: body}, signer)
	if err != nil {
		return nil, err
	}
	return map[string]interface{}{
		"vkey": vkey, "signed": string(signed), "inclusion": inclusion, "consistency": consistency,
	}, nil
}

func main() {
	bytes, err := os.ReadFile(filepath.Join(os.Args[1], "exhibits.json"))
	var all exhibits
	if err == nil {
		err = json.Unmarshal(bytes, &all)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verdicts := map[string]bool{}
	for _, e := range all.Cases {
		known, err := check(e)
		if !known {
			continue
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", e.Name, err)
		}
		verdicts[e.Name] = err == nil
	}
	own, err := made(all.Source)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"verdicts": verdicts, "made": own})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
