package box

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// wget fetches by HTTP/1.0: such an answer ends where the connection does, and
// so needs no chunk decoder. net/http would double the binary.
func wget(c *cmd) {
	f := c.parse("O: q T: S", 1)
	limit := time.Duration(0)
	if t, ok := f["T"]; ok {
		limit = c.duration(t)
	}
	for _, raw := range c.args {
		to, where := f["O"], raw
		if u, err := url.Parse(raw); err == nil && to == "" {
			if to = path.Base(u.Path); to == "." || strings.HasSuffix(u.Path, "/") {
				to = "index.html"
			}
		}
		for hops := 0; ; hops++ {
			conn, body, head, err := get(where, limit)
			if err == nil && head.Get("Location") != "" && hops < 5 {
				next, perr := url.Parse(head.Get("Location"))
				base, _ := url.Parse(where)
				if conn.Close(); perr == nil {
					where = base.ResolveReference(next).String()
					continue
				}
			}
			if err == nil {
				err = save(to, body, c)
				conn.Close()
			}
			if err != nil {
				c.warn(on(raw, err))
			}
			break
		}
	}
}

func save(to string, body io.Reader, c *cmd) error {
	if to == "-" {
		_, err := io.Copy(c.out, body)
		return err
	}
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err = io.Copy(file, body); err != nil {
		return err
	}
	return file.Close()
}

func get(raw string, limit time.Duration) (net.Conn, io.Reader, textproto.MIMEHeader, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, nil, nil, err
	}
	if u.Scheme != "http" {
		return nil, nil, nil, fmt.Errorf("only http:// is spoken here, there is no TLS")
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")), limit)
	if err != nil {
		return nil, nil, nil, err
	}
	if limit > 0 {
		conn.SetDeadline(time.Now().Add(limit))
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: coracle\r\nAccept: */*\r\n\r\n", u.RequestURI(), u.Host)
	r := textproto.NewReader(bufio.NewReader(conn))
	line, err := r.ReadLine()
	var head textproto.MIMEHeader
	if err == nil {
		head, err = r.ReadMIMEHeader()
	}
	proto, status, _ := strings.Cut(line, " ")
	if err == nil && (!strings.HasPrefix(proto, "HTTP/") || len(status) < 3) {
		err = fmt.Errorf("%.40q: not an HTTP answer", line)
	} else if err == nil && status[0] != '2' && status[0] != '3' {
		err = fmt.Errorf("the server answered %s", status)
	}
	if err != nil {
		conn.Close()
		return nil, nil, nil, err
	}
	var body io.Reader = r.R
	if n, err := strconv.ParseInt(head.Get("Content-Length"), 10, 64); err == nil {
		body = &exact{io.LimitReader(r.R, n), n}
	}
	return conn, body, head, nil
}

// exact turns an early end of the stream into an error.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if e.left -= int64(n); err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// httpd serves the files below a directory, or one text, until a signal.
func httpd(c *cmd) {
	f := c.parse("p: d: t:", 0)
	root, err := os.OpenRoot(cmp.Or(f["d"], "."))
	c.check(err)
	l, err := net.Listen("tcp", ":"+cmp.Or(f["p"], "80"))
	c.check(err)
	fmt.Fprintf(os.Stderr, "httpd: listening on %s\n", l.Addr())
	for {
		conn, err := l.Accept()
		c.check(err)
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			r := textproto.NewReader(bufio.NewReader(conn))
			line, err := r.ReadLine()
			if err == nil {
				_, err = r.ReadMIMEHeader()
			}
			part := strings.Fields(line)
			if err != nil || len(part) != 3 {
				answer(conn, "400 Bad Request", "", nil)
				return
			}
			if part[0] != "GET" && part[0] != "HEAD" {
				answer(conn, "405 Method Not Allowed", "", nil)
			} else if t, ok := f["t"]; ok {
				answer(conn, "200 OK", "text/plain", strings.NewReader(t+"\n"))
			} else {
				serveFile(conn, root, part[1])
			}
		}()
	}
}

func serveFile(w io.Writer, root *os.Root, target string) {
	u, err := url.Parse(target)
	if err != nil {
		answer(w, "400 Bad Request", "", nil)
		return
	}
	name := cmp.Or(strings.TrimPrefix(path.Clean("/"+u.Path), "/"), ".")
	if fi, err := root.Stat(name); err == nil && fi.IsDir() {
		name = filepath.Join(name, "index.html")
	}
	file, err := root.Open(name)
	if err != nil {
		answer(w, "404 Not Found", "", nil)
		return
	}
	defer file.Close()
	kind := map[string]string{".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8", ".json": "application/json"}[path.Ext(name)]
	answer(w, "200 OK", cmp.Or(kind, "application/octet-stream"), file)
}

func answer(w io.Writer, status, kind string, body io.Reader) {
	if body == nil {
		kind, body = "text/plain", strings.NewReader(status+"\n")
	}
	fmt.Fprintf(w, "HTTP/1.0 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n", status, kind)
	io.Copy(w, body)
}

func nc(c *cmd) {
	f := c.parse("l k p: w: z", 0)
	wait := time.Duration(0)
	if w, ok := f["w"]; ok {
		wait = c.duration(w)
	}
	if !f.has("l") {
		if len(c.args) != 2 {
			c.misuse()
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(c.args[0], c.args[1]), wait)
		c.check(err)
		if !f.has("z") {
			c.relay(conn)
		}
		return
	}
	port := f["p"]
	if port == "" && len(c.args) > 0 {
		port = c.args[len(c.args)-1]
	}
	if port == "" {
		c.misuse()
	}
	l, err := net.Listen("tcp", ":"+port)
	c.check(err)
	for again := true; again; again = f.has("k") {
		conn, err := l.Accept()
		c.check(err)
		c.relay(conn)
	}
}

// relay copies both ways until the other side is done; the end of our input
// only closes our half, for the answer may still be coming.
func (c *cmd) relay(conn net.Conn) {
	go func() {
		io.Copy(conn, c.in)
		conn.(*net.TCPConn).CloseWrite()
	}()
	if _, err := io.Copy(os.Stdout, conn); err != nil {
		c.warn(err)
	}
	conn.Close()
}
