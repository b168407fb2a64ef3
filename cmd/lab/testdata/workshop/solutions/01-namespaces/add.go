package namespaces

// Add is the reference.
func Add(a, b int) int { return a + b }

func refHelper() {}
