package deb

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// needXZ skips a test without the xz command; in CI it has to be there.
func needXZ(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("xz"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("xz is not installed")
	}
	t.Skip("xz is not installed")
}

func unxz(b []byte, maxDict int64) ([]byte, error) {
	return io.ReadAll(newXZReader(bytes.NewReader(b), maxDict))
}

// machineCode returns part of this test's own program: on amd64, what the x86
// filter is for.
func machineCode(t testing.TB, n int) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 64<<10); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestXZLikeXZ reads what the xz command writes, in many ways.
func TestXZLikeXZ(t *testing.T) {
	needXZ(t)
	code := machineCode(t, 150_001)
	for _, args := range []string{
		"-0", "-6", "-9", "--check=none -0", "--check=crc32 -0", "--check=sha256 -0", "--block-size=10000 -0",
		"-T2 --block-size=50000 -0", "--x86 --lzma2=preset=0", "--x86=start=4096 --lzma2=preset=0",
		"--delta=dist=1 --lzma2=preset=0", "--delta=dist=256 --lzma2=preset=0", "--delta=dist=4 --x86 --lzma2=preset=0",
		"--lzma2=preset=0,lc=0,lp=4,pb=0", "--lzma2=preset=0,dict=4KiB",
	} {
		t.Run(args, func(t *testing.T) {
			for _, text := range [][]byte{code, nil, code[:3], bytes.Repeat([]byte{0xe8, 0, 0xe8, 0xff, 0xe9}, 3000), bytes.Repeat([]byte("text "), 9000)} {
				cmd := exec.Command("xz", append(strings.Fields(args), "-c")...)
				cmd.Stdin = bytes.NewReader(text)
				b, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				got, err := unxz(b, 64*mib)
				if err != nil {
					t.Fatalf("%d bytes: %v", len(text), err)
				}
				if !bytes.Equal(got, text) {
					t.Fatalf("%d bytes: read otherwise", len(text))
				}
			}
		})
	}
}

// TestX86FilterOnRandomCalls compares with the xz command on opcodes that lie
// as close together as never in a program.
func TestX86FilterOnRandomCalls(t *testing.T) {
	needXZ(t)
	const chars = "\xe8\xe9\x00\xff\x01\x42"
	text := make([]byte, 200_000)
	state := uint32(1)
	for i := range text {
		state = state*1664525 + 1013904223
		text[i] = chars[state>>16%uint32(len(chars))]
	}
	cmd := exec.Command("xz", "-c", "--x86", "--lzma2=preset=0")
	cmd.Stdin = bytes.NewReader(text)
	b, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unxz(b, 64*mib); err != nil || !bytes.Equal(got, text) {
		t.Errorf("read otherwise, or %v", err)
	}
}

// withDictionary is an xz file of "hello" whose block header asks for a
// dictionary of that encoded size.
func withDictionary(t *testing.T, dict byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 4096}.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("hello"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	header := b[xzHeaderSize : xzHeaderSize+4*(int(b[xzHeaderSize])+1)]
	header[4] = dict
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	return b
}

// TestXZMemory verifies that the size of a dictionary is checked before memory
// is set aside for it.
func TestXZMemory(t *testing.T) {
	b := withDictionary(t, 36) // 1 GiB
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := unxz(b, 64*mib)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1*mib {
		t.Errorf("%d KiB were set aside", got>>10)
	}
	b = withDictionary(t, 10) // 128 KiB
	if got, err := unxz(b, 128*kib); err != nil || string(got) != "hello" {
		t.Errorf("a dictionary as large as the limit: %q, %v", got, err)
	}
	if _, err := unxz(b, 128*kib-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a dictionary larger than the limit: %v", err)
	}
}

func FuzzXZ(f *testing.F) {
	for _, text := range []string{"", "hello", strings.Repeat("hello ", 1000)} {
		var buf bytes.Buffer
		w, err := xz.WriterConfig{DictCap: 4096}.NewWriter(&buf)
		if err != nil {
			f.Fatal(err)
		}
		w.Write([]byte(text))
		w.Close()
		f.Add(buf.Bytes())
		f.Add(append(buf.Bytes(), buf.Bytes()...))
		f.Add(append(buf.Bytes(), 0, 0, 0, 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 1 << 20
		d, err := decompress(bytes.NewReader(b), XZ, Limits{Dictionary: most}.filled())
		var got []byte
		if err == nil {
			got, err = io.ReadAll(io.LimitReader(d, 1<<22))
		}
		var fault *FormatError
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("not a fault of the stream: %v", err)
		}
		if err != nil || len(got) == 1<<22 {
			return
		}
		// What passes is what the library alone would read, but for filters.
		r, err := xz.NewReader(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		if want, err := io.ReadAll(r); err == nil && !bytes.Equal(got, want) {
			t.Fatalf("read %d bytes, the library %d", len(got), len(want))
		}
	})
}

func BenchmarkXZ(b *testing.B) {
	needXZ(b)
	code := machineCode(b, 2<<20)
	cmd := exec.Command("xz", "-c", "-6")
	cmd.Stdin = bytes.NewReader(code)
	compressed, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(code)))
		for b.Loop() {
			if _, err := unxz(compressed, 64*mib); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.SetBytes(int64(len(code)))
		for b.Loop() {
			r, err := xz.NewReader(bufio.NewReader(bytes.NewReader(compressed)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("command", func(b *testing.B) {
		b.SetBytes(int64(len(code)))
		for b.Loop() {
			cmd := exec.Command("xz", "-dc")
			cmd.Stdin = bytes.NewReader(compressed)
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
