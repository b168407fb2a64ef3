package cgroups

import namespaces "coracle/01-namespaces"

// Many is the reference.
func Many(names ...string) ([]string, error) {
	var all []string
	for _, name := range names {
		text, err := namespaces.Greet(name)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}
