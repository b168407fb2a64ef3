package remote

import (
	"net/http"
	"slices"
	"strings"
)

// A Challenge is one way that a server offers to say who asks.
type Challenge struct {
	Scheme string            // "basic", "bearer": lower case
	Params map[string]string // realm, service, scope, error, …; keys in lower case
}

// ParseChallenges reads WWW-Authenticate (RFC 9110, 11.6.1): several challenges, in
// several headers or in one, each with parameters whose values may be quoted.
//
//	Bearer realm="https://auth.example/token",service="r", Basic realm="r"
func ParseChallenges(h http.Header) (all []Challenge) {
	for _, text := range h.Values("WWW-Authenticate") {
		for text = strings.TrimLeft(text, " \t,"); text != ""; text = strings.TrimLeft(text, " \t,") {
			word, rest := token(text)
			if word == "" { // no token: nothing after it can be understood
				break
			}
			value, isParam := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "=")
			if !isParam {
				all, text = append(all, Challenge{strings.ToLower(word), map[string]string{}}), rest
				continue
			}
			if value, text = quoted(strings.TrimLeft(value, " \t")); len(all) > 0 {
				all[len(all)-1].Params[strings.ToLower(word)] = value
			}
		}
	}
	return all
}

// offered finds the challenge of a scheme, "basic" or "bearer".
func offered(all []Challenge, scheme string) (ch Challenge, ok bool) {
	i := slices.IndexFunc(all, func(ch Challenge) bool { return ch.Scheme == scheme })
	if i < 0 {
		return Challenge{}, false
	}
	return all[i], true
}

// token cuts a word (RFC 9110, 5.6.2) from the front.
func token(s string) (word, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:]
}

// quoted cuts a value from the front: a word, or a string in quotes.
func quoted(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ", \t")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
