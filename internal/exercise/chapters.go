package exercise

// Chapters lists the chapters that exist, in order.
func Chapters() []Chapter {
	return []Chapter{
		{1, "01-namespaces", "Namespaces: a process with its own view", "kernel"},
		{2, "02-cgroups", "Cgroups: a process with its own share", "kernel"},
		{3, "03-images", "Images: a file system you can ship", "kernel"},
	}
}

// rows are the table, a chapter after the other.
var rows = [][]Exercise{chapter1, chapter2, chapter3}
