package box

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

func cat(c *cmd) {
	f := c.parse("n u", 0)
	n := 0
	c.each(c.args, func(_ string, r io.Reader) error {
		if !f.has("n") {
			c.out.Flush()
			_, err := io.Copy(os.Stdout, r)
			return err
		}
		for line := range lines(r) {
			n++
			fmt.Fprintf(c.out, "%6d\t%s", n, line)
		}
		return nil
	})
}

// count reads -n N, -c N and the old form -N; sign keeps tail's "+N".
func (c *cmd) count(spec string) (f flags, n int, bytes bool, sign byte) {
	for i, a := range c.args {
		if _, err := strconv.Atoi(strings.TrimPrefix(a, "-")); err == nil && len(a) > 1 && a[0] == '-' {
			c.args[i] = "-n" + a[1:]
		}
	}
	f, n = c.parse(spec, 0), 10
	for _, o := range []string{"n", "c"} {
		if v, ok := f[o]; ok {
			if sign = v[0]; sign == '+' || sign == '-' {
				f[o] = v[1:]
			}
			n, bytes = c.num(f, o, 10), o == "c"
		}
	}
	return f, n, bytes, sign
}

func head(c *cmd) {
	_, n, bytes, _ := c.count("n: c: q")
	c.each(c.args, func(name string, r io.Reader) error {
		if len(c.args) > 1 {
			fmt.Fprintf(c.out, "==> %s <==\n", name)
		}
		if bytes {
			_, err := io.CopyN(c.out, r, int64(n))
			if err == io.EOF {
				err = nil
			}
			return err
		}
		left := n
		for line := range lines(r) {
			if left--; left < 0 {
				break
			}
			c.out.WriteString(line)
		}
		return nil
	})
}

func tail(c *cmd) {
	f, n, bytes, sign := c.count("n: c: f q")
	c.each(c.args, func(_ string, r io.Reader) error {
		if bytes {
			b, err := io.ReadAll(r)
			if sign == '+' {
				b = b[min(len(b), max(n-1, 0)):]
			} else {
				b = b[max(0, len(b)-n):]
			}
			c.out.Write(b)
			return err
		}
		var keep []string
		i := 0
		for line := range lines(r) {
			if i++; sign == '+' && i >= n {
				c.out.WriteString(line)
			} else if sign != '+' && n > 0 {
				if keep = append(keep, line); len(keep) > n {
					keep = keep[1:]
				}
			}
		}
		c.out.WriteString(strings.Join(keep, ""))
		for f.has("f") { // regular files have no event but inotify; twice a second is enough to read
			c.out.Flush()
			time.Sleep(500 * time.Millisecond)
			if _, err := io.Copy(c.out, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func wc(c *cmd) {
	f := c.parse("l w c m", 0)
	if len(f) == 0 {
		f = flags{"l": "", "w": "", "c": ""}
	}
	var total [4]int
	show := func(n [4]int, name string) {
		for i, o := range []string{"l", "w", "m", "c"} {
			if f.has(o) && len(f) == 1 {
				fmt.Fprint(c.out, n[i])
			} else if f.has(o) {
				fmt.Fprintf(c.out, "%7d ", n[i])
			}
		}
		if name != "-" {
			fmt.Fprint(c.out, " ", name)
		}
		fmt.Fprintln(c.out)
	}
	c.each(c.args, func(name string, r io.Reader) error {
		var n [4]int
		br, word := bufio.NewReader(r), false
		for {
			ch, size, err := br.ReadRune()
			if err == io.EOF {
				break
			} else if err != nil {
				return err
			}
			if ch == '\n' {
				n[0]++
			}
			if space := unicode.IsSpace(ch); !space && !word {
				n[1]++
				word = true
			} else if space {
				word = false
			}
			n[2]++
			n[3] += size
		}
		for i := range n {
			total[i] += n[i]
		}
		show(n, name)
		return nil
	})
	if len(c.args) > 1 {
		show(total, "total")
	}
}

func tee(c *cmd) {
	f := c.parse("a", 0)
	mode := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if f.has("a") {
		mode = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	to := []io.Writer{os.Stdout}
	for _, name := range c.args {
		file, err := os.OpenFile(name, mode, 0o666)
		if err != nil {
			c.warn(err)
			continue
		}
		to = append(to, file)
	}
	_, err := io.Copy(io.MultiWriter(to...), c.in)
	c.check(err)
}

func dd(c *cmd) {
	o := map[string]string{"bs": "512", "count": "-1", "skip": "0", "seek": "0", "if": "-", "of": "-"}
	for _, a := range c.args {
		k, v, ok := strings.Cut(a, "=")
		if !ok || !strings.Contains(" bs count skip seek if of conv status ", " "+k+" ") {
			c.die(2, "%s: not an operand (usage: dd %s)", a, c.usage)
		}
		o[k] = v
	}
	bs, count := c.size(o["bs"]), int64(-1)
	if o["count"] != "-1" {
		count = c.size(o["count"])
	}
	in, err := c.open(o["if"])
	c.check(err)
	out := os.Stdout
	if o["of"] != "-" {
		mode := os.O_WRONLY | os.O_CREATE
		if !strings.Contains(o["conv"], "notrunc") && o["seek"] == "0" {
			mode |= os.O_TRUNC
		}
		out, err = os.OpenFile(o["of"], mode, 0o666)
		c.check(err)
	}
	if n := c.size(o["skip"]) * bs; n > 0 {
		if _, err := in.Seek(n, io.SeekCurrent); err != nil {
			_, err = io.CopyN(io.Discard, in, n)
			c.check(err)
		}
	}
	if n := c.size(o["seek"]) * bs; n > 0 {
		_, err = out.Seek(n, io.SeekStart)
		c.check(err)
	}
	buf, start := make([]byte, bs), time.Now()
	var whole, part, bytes int64
	for count < 0 || whole+part < count {
		n, rerr := io.ReadFull(in, buf)
		if n > 0 {
			w, err := out.Write(buf[:n])
			bytes += int64(w)
			if err != nil {
				c.warn(err)
				break
			}
			if int64(n) == bs {
				whole++
			} else {
				part++
			}
		}
		if rerr != nil {
			if rerr != io.EOF && rerr != io.ErrUnexpectedEOF {
				c.warn(rerr)
			}
			break
		}
	}
	if strings.Contains(o["conv"], "fsync") {
		c.check(out.Sync())
	}
	if o["status"] != "none" {
		d := time.Since(start).Seconds()
		fmt.Fprintf(os.Stderr, "%d+%d records out\n%d bytes (%s) copied, %.3f s, %s/s\n",
			whole, part, bytes, human(bytes), d, human(int64(float64(bytes)/d)))
	}
}
