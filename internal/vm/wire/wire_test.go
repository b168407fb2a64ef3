package wire

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is sent arrives in order and whole, however it is cut into frames.
func TestFrames_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := Kind(rapid.IntRange(int(Ready), int(Resize)).Draw(t, "kind"))
		command := rapid.IntRange(0, 1<<16-1).Draw(t, "command")
		sent := bytes.Repeat(rapid.SliceOf(rapid.Byte()).Draw(t, "payload"), rapid.IntRange(1, 3000).Draw(t, "times"))
		var buf, got bytes.Buffer
		require.NoError(t, NewWriter(&buf).Send(kind, command, sent))
		for n := 0; ; n++ {
			f, err := Read(&buf)
			if err == io.EOF {
				require.Positive(t, n, "an empty payload is a frame, too")
				break
			}
			require.NoError(t, err)
			require.Equal(t, kind, f.Kind)
			require.Equal(t, uint16(command), f.Command)
			got.Write(f.Payload)
		}
		require.True(t, bytes.Equal(sent, got.Bytes()))
	})
}

func TestRead_CutShort(t *testing.T) {
	var buf bytes.Buffer
	require.NoError(t, NewWriter(&buf).Send(Stdout, 1, []byte("hello")))
	for n := 1; n < buf.Len(); n++ {
		_, err := Read(bytes.NewReader(buf.Bytes()[:n]))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "after %d bytes", n)
	}
}

// A guest is not trusted: no bytes make Read panic or allocate more than a frame.
func FuzzRead(f *testing.F) {
	f.Add([]byte{byte(Stdout), 0, 0, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{byte(Exit), 0, 1, 0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := Read(bytes.NewReader(data))
		if err == nil && (len(frame.Payload) > MaxPayload || len(frame.Payload)+headerSize > len(data)) {
			t.Fatalf("%d bytes gave a payload of %d", len(data), len(frame.Payload))
		}
	})
}
