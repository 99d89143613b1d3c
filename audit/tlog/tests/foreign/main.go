// reader reads a transparency log that Keyhole's tlog crate wrote, with the libraries of others: Tessera's fsck and client, Go's own notes,
// and the formats of transparency.dev. It prints one line of JSON with what it verified. What is wrong it says in a sentence on standard
// error, and exits 1.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	f_log "github.com/transparency-dev/formats/log"
	f_note "github.com/transparency-dev/formats/note"
	f_proof "github.com/transparency-dev/formats/proof"
	f_witness "github.com/transparency-dev/formats/witness"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

const usage = `reader FOLDER LOG_KEY WITNESS_KEY
reader proof FILE LOG_KEY WITNESS_KEY

FOLDER has:
  log/        the log as tlog-tiles has it: checkpoint and tile/
  older/N     checkpoints of the same log, when it had N entries
  requests/N  what a witness is asked that has seen older/N (tlog-witness, add-checkpoint): the proof that log/checkpoint grew from it
  proofs/N    proofs that entry N is in the log (tlog-proof)
  policy      whom to trust (tlog-policy)

FILE is a proof (tlog-proof) that has the entry itself in its line "extra". It prints that entry.`

// Of larger logs, entries are taken here and there.
const allEntries = 1024

// What was verified.
type verified struct {
	Origin    string `json:"origin"`
	Size      uint64 `json:"size"`
	Root      string `json:"root"`
	Witnessed int64  `json:"witnessed"`
	Files     int    `json:"files"`
	Included  int    `json:"included"`
	Older     int    `json:"older"`
	Proofs    int    `json:"proofs"`
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "proof" {
		entry, err := readProof(os.Args[2], os.Args[3], os.Args[4])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(string(entry))
		return
	}
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	// Tessera tells how it gets on.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	found, err := read(context.Background(), os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	line, err := json.Marshal(found)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// reader is one log, whose newest checkpoint is verified.
type reader struct {
	folder       string
	log, witness note.Verifier
	files        *files
	checkpoint   []byte
	size         uint64
	root         []byte
}

// newReader is a reader of a log with these keys, which has read nothing yet.
func newReader(folder, logKey, witnessKey string) (*reader, error) {
	logVerifier, err := note.NewVerifier(logKey)
	if err != nil {
		return nil, fmt.Errorf("the log's key is none: %w", err)
	}
	witness, err := f_note.NewVerifierForCosignatureV1(witnessKey)
	if err != nil {
		return nil, fmt.Errorf("the witness's key is none: %w", err)
	}
	return &reader{folder: folder, log: logVerifier, witness: witness, files: newFiles(filepath.Join(folder, "log"))}, nil
}

// readProof is the entry that a proof holds, which it proves to be in the log.
func readProof(path, logKey, witnessKey string) ([]byte, error) {
	r, err := newReader("", logKey, witnessKey)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file f_proof.TLogProof
	if err := file.Unmarshal(raw); err != nil {
		return nil, err
	}
	return file.ExtraData, r.proves(&file, rfc6962.DefaultHasher.HashLeaf(file.ExtraData))
}

func read(ctx context.Context, folder, logKey, witnessKey string) (*verified, error) {
	r, err := newReader(folder, logKey, witnessKey)
	if err != nil {
		return nil, err
	}
	found := &verified{Origin: r.log.Name()}
	for _, step := range []func(context.Context, *verified) error{r.newest, r.policy, r.everyFile, r.entries, r.older, r.proofs} {
		if err := step(ctx, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// verify reads a checkpoint that log and witness signed, and says when the witness did.
func (r *reader) verify(raw []byte) (*f_log.Checkpoint, int64, error) {
	checkpoint, extensions, signed, err := f_log.ParseCheckpoint(raw, r.log.Name(), r.log, r.witness)
	if err != nil {
		return nil, 0, err
	}
	if len(extensions) != 0 {
		return nil, 0, fmt.Errorf("the checkpoint has the extension %q", extensions)
	}
	if !bytes.Equal([]byte(signed.Text), checkpoint.Marshal()) {
		return nil, 0, fmt.Errorf("the checkpoint reads %q, and would be written %q", signed.Text, checkpoint.Marshal())
	}
	for _, signature := range signed.Sigs {
		if signature.Name == r.witness.Name() && signature.Hash == r.witness.KeyHash() {
			time, err := f_note.CoSigV1Timestamp(signature)
			return checkpoint, time.Unix(), err
		}
	}
	return nil, 0, errors.New("the witness did not sign the checkpoint")
}

func (r *reader) newest(ctx context.Context, found *verified) error {
	raw, err := r.files.ReadCheckpoint(ctx)
	if err != nil {
		return fmt.Errorf("the checkpoint cannot be read: %w", err)
	}
	checkpoint, time, err := r.verify(raw)
	if err != nil {
		return fmt.Errorf("the checkpoint is not to be trusted: %w", err)
	}
	r.checkpoint, r.size, r.root = raw, checkpoint.Size, checkpoint.Hash
	found.Size, found.Witnessed, found.Root = checkpoint.Size, time, base64.StdEncoding.EncodeToString(checkpoint.Hash)
	return nil
}

func (r *reader) policy(_ context.Context, _ *verified) error {
	raw, err := os.ReadFile(filepath.Join(r.folder, "policy"))
	if err != nil {
		return fmt.Errorf("the policy cannot be read: %w", err)
	}
	group, err := f_witness.ParsePolicy(raw)
	if err != nil {
		return fmt.Errorf("the policy is none: %w", err)
	}
	if !group.Satisfied(r.checkpoint) {
		return errors.New("the checkpoint has not the witnesses that the policy asks for")
	}
	return nil
}

// everyFile derives every tile from the entries, and holds the log's files against them: all that a log of this size has, and no others.
func (r *reader) everyFile(ctx context.Context, found *verified) error {
	// As many workers as tiles: with fewer, the first wrong tile would hold Check up for ever (transparency-dev/tessera#1098).
	workers := uint(r.size/layout.TileWidth + 16)
	if err := fsck.New(r.log.Name(), r.log, r.files, leaves, fsck.Opts{N: workers}).Check(ctx); err != nil {
		return fmt.Errorf("the files are not those of the checkpoint: %w", err)
	}
	there, err := under(r.files.Root)
	if err != nil {
		return fmt.Errorf("the files cannot be listed: %w", err)
	}
	for _, name := range there {
		if !r.files.asked[name] {
			return fmt.Errorf("the log has %s, which no log of this size needs", name)
		}
	}
	found.Files = len(there)
	return nil
}

// leaf is the hash of an entry, from its bundle.
func (r *reader) leaf(ctx context.Context, index uint64) ([]byte, error) {
	if index >= r.size {
		return nil, fmt.Errorf("the log has no entry %d", index)
	}
	bundle, err := client.GetEntryBundle(ctx, r.files.ReadEntryBundle, index/layout.EntryBundleWidth, r.size)
	if err != nil {
		return nil, err
	}
	return rfc6962.DefaultHasher.HashLeaf(bundle.Entries[index%layout.EntryBundleWidth]), nil
}

// entries proves entries from the tiles: every one of a small log.
func (r *reader) entries(ctx context.Context, found *verified) error {
	step := 1 + r.size/allEntries
	builder, err := client.NewProofBuilder(ctx, r.size, r.files.ReadTile)
	if err != nil {
		return err
	}
	for index := range r.size {
		if index%step != 0 && index+1 != r.size {
			continue
		}
		leaf, err := r.leaf(ctx, index)
		if err != nil {
			return fmt.Errorf("entry %d cannot be read: %w", index, err)
		}
		way, err := builder.InclusionProof(ctx, index)
		if err != nil {
			return fmt.Errorf("entry %d has no proof: %w", index, err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, r.size, leaf, way, r.root); err != nil {
			return fmt.Errorf("entry %d is not in the log: %w", index, err)
		}
		found.Included++
	}
	return nil
}

// older proves that the log has grown from each of its older checkpoints: by the tiles, and by the proof that a witness is sent.
func (r *reader) older(ctx context.Context, found *verified) error {
	names, err := under(filepath.Join(r.folder, "older"))
	if err != nil {
		return fmt.Errorf("the older checkpoints cannot be listed: %w", err)
	}
	builder, err := client.NewProofBuilder(ctx, r.size, r.files.ReadTile)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.grown(ctx, builder, name); err != nil {
			return fmt.Errorf("the log has not grown from its %s entries: %w", name, err)
		}
		found.Older++
	}
	return nil
}

func (r *reader) grown(ctx context.Context, builder *client.ProofBuilder, name string) error {
	raw, err := os.ReadFile(filepath.Join(r.folder, "older", name))
	if err != nil {
		return err
	}
	old, _, err := r.verify(raw)
	if err != nil {
		return err
	}
	if strconv.FormatUint(old.Size, 10) != name {
		return fmt.Errorf("the checkpoint is of %d", old.Size)
	}
	request, err := os.ReadFile(filepath.Join(r.folder, "requests", name))
	if err != nil {
		return err
	}
	// Of an empty log there is no proof; of the same size there is nothing to prove.
	var steps [][]byte
	if old.Size != 0 {
		if steps, err = builder.ConsistencyProof(ctx, old.Size, r.size); err != nil {
			return err
		}
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old.Size, r.size, steps, old.Hash, r.root); err != nil {
			return err
		}
	} else if !bytes.Equal(old.Hash, rfc6962.DefaultHasher.EmptyRoot()) {
		return errors.New("the empty log has another root")
	}
	var expected bytes.Buffer
	fmt.Fprintf(&expected, "old %d\n", old.Size)
	for _, step := range steps {
		fmt.Fprintln(&expected, base64.StdEncoding.EncodeToString(step))
	}
	expected.WriteByte('\n')
	expected.Write(r.checkpoint)
	if !bytes.Equal(request, expected.Bytes()) {
		return errors.New("a witness is sent another proof")
	}
	return nil
}

// proofs verifies what is handed out to be verified without the log.
func (r *reader) proofs(ctx context.Context, found *verified) error {
	names, err := under(filepath.Join(r.folder, "proofs"))
	if err != nil {
		return fmt.Errorf("the proofs cannot be listed: %w", err)
	}
	for _, name := range names {
		if err := r.proved(ctx, name); err != nil {
			return fmt.Errorf("proof %s proves nothing: %w", name, err)
		}
		found.Proofs++
	}
	return nil
}

func (r *reader) proved(ctx context.Context, name string) error {
	raw, err := os.ReadFile(filepath.Join(r.folder, "proofs", name))
	if err != nil {
		return err
	}
	var file f_proof.TLogProof
	if err := file.Unmarshal(raw); err != nil {
		return err
	}
	if !bytes.Equal(file.Marshal(), raw) {
		return errors.New("it would be written in another way")
	}
	if strconv.FormatUint(file.Index, 10) != name {
		return fmt.Errorf("it is of entry %d", file.Index)
	}
	leaf, err := r.leaf(ctx, file.Index)
	if err != nil {
		return err
	}
	return r.proves(&file, leaf)
}

// proves verifies that a proof leads from this leaf to the root of a checkpoint that log and witness signed.
func (r *reader) proves(file *f_proof.TLogProof, leaf []byte) error {
	checkpoint, _, err := r.verify(file.Checkpoint)
	if err != nil {
		return err
	}
	var way [][]byte
	for _, hash := range file.Hashes {
		way = append(way, hash[:])
	}
	return proof.VerifyInclusion(rfc6962.DefaultHasher, file.Index, checkpoint.Size, leaf, way, checkpoint.Hash)
}
