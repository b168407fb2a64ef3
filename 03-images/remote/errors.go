package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"coracle/03-images"
)

// ErrDenied: the registry does not let these credentials, or nobody at all, do this.
var ErrDenied = errors.New("denied")

// An Error is a registry's answer that is not what was asked for.
type Error struct {
	Method, URL string // the URL without its query, which may hold a secret
	Status      int
	Code        string // MANIFEST_UNKNOWN, … (distribution-spec, "Error Codes")
	Message     string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
	if e.Code+e.Message != "" {
		text += ", " + strings.Trim(e.Code+": "+e.Message, ": ")
	}
	return text
}

// Is makes a 404 images.ErrNotFound, a 401 and a 403 ErrDenied.
func (e *Error) Is(target error) bool {
	switch e.Status {
	case http.StatusNotFound:
		return target == images.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return target == ErrDenied
	}
	return false
}

// answer reads an error's body, at most 8 KiB of it, and closes it.
func answer(r *http.Response) *Error {
	defer r.Body.Close()
	e := &Error{Method: r.Request.Method, URL: bare(r.Request.URL), Status: r.StatusCode}
	var body struct {
		Errors []struct{ Code, Message string }
	}
	data, _ := io.ReadAll(io.LimitReader(r.Body, 8<<10))
	if json.Unmarshal(data, &body) == nil && len(body.Errors) > 0 {
		e.Code, e.Message = clean(body.Errors[0].Code), clean(body.Errors[0].Message)
	}
	return e
}

// bare is a URL without what may be secret in it: user, query, fragment.
func bare(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// clean makes one short line of what a stranger wrote, without a terminal's escapes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}
