package namespaces

import "errors"

// Greet is the reference.
func Greet(name string) (string, error) {
	if refEmpty(name) {
		return "", errors.New("greet: nobody")
	}
	return "hello, " + name, nil
}

func refEmpty(name string) bool { return name == "" }
