package exercise

var chapter2 = []Exercise{}
