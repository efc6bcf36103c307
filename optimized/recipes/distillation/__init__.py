"""Knowledge distillation: a student is trained to reproduce the outputs of a teacher."""
