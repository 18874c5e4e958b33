"""What does it say, over HTTP?

Belongs here: the server that answers with the champion of each project and records what it was asked: its routes and
the forms of their bodies, the threads that follow the ledger and write the log. Does not belong here: what
rows and answers are (`refit/`), how a model is loaded or a prediction stored (`tasks/`), the command (`deployments/`).
Nothing else imports it but `deployments/`.
"""
